"""The doctor of data: what is there, what is wrong with it, and what to do, before anything is trained.

    rows, shape, ledger  ->  examine(...)  ->  Diagnosis(findings, tables)  ->  terminal, JSON, page.write_page
    rows as read         ->  fix.repaired_copy(...)  ->  NAME.fixed.csv, its changes, its rejected rows

Each kind of finding is looked for by one `Part`, one file each; `words.yaml` holds what they say, in two languages.
Rows pass once; nothing here needs torch.
"""

from weitiao.data.doctor.examine import examine
from weitiao.data.doctor.finding import Diagnosis, Finding

__all__ = ["Diagnosis", "Finding", "examine"]
