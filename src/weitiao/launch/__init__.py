"""Files that others read to serve a run or to train a recipe: nothing is started, nothing is sent anywhere.

    launch_serve("runs/reviews", on="docker")            ->  launch/reviews-docker/{Dockerfile, compose.yaml, models/, ...}
    launch_train("recipe.yaml", on="slurm", nodes=2)     ->  launch/reviews-slurm/job.sbatch

`services`   where a run is served: one file a destination, which says which templates of `files` it fills
`clusters`   where a recipe is trained, in the same way
`portable`   runs with the bases that they need, in a folder that may be carried anywhere
`pinned`     the packages that run here, by their versions
`launched`   the folder is written whole or not at all

Law: what is written is to be read and changed by a person, and says so; a secret never stands in it, only where it is to be
found; a run that is begun again goes on by the very command that began it.
"""
