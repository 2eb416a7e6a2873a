"""Importing orders over HTTP: a body of any length is kept in PostgreSQL first, then worked off in small chunks.

receiving.py (1) the body -> a file beside the process, line by line, refused as a whole where its structure is wrong
starting.py  (2) the file -> a job with its payload, in one transaction
reading.py   (3) the payload, from where the job has got to -> what each order shall be
judging.py   (4) what an order shall be -> the arguments of a command, or why it is rejected
working.py   (5) a chunk of orders, in one transaction with the job's progress: a chore, called until nothing is left
placing.py   (6) one order of it: placed by the command, or rejected
expiring.py      jobs that ended long ago go: another chore
erasing.py       what is quoted of a payload forgets who is erased
models.py        job, payload, rejections
csv_rows.py      a line of CSV, and the columns it may have
errors.py        why a body is refused, or one order of it
"""
