"""Importing the Online Retail data set: a file is checked whole, then streamed into users, products and orders.

source.py   (1) the file's rows, plain or gzip, or one line that says why it can't be read
columns.py      the names its columns go by
dates.py    (2) which way round its dates are, read off all of them
check.py    (3) one pass over the file before anything is written
lines.py    (4) a row -> an invoice line, or the reason it is rejected
invoices.py (5) lines -> invoices, with what each kind of invoice becomes
writing.py  (6) invoices -> orders, one transaction per chunk, with the customers.py and products.py they need
report.py       what became of every line
run.py          the steps, in order
"""
