"""The judge: the locked test rows, tuned beside untuned beside a classical baseline, with intervals."""
