"""Language models: one client for every service, and what keeps it honest.

`endpoint` says what is asked and with which key, `ledger` books tokens and price before and after
each call and keeps the answers, `transport` sends, `client` joins them and reads the answers by
schema. The packages that talk to a service are imported with the first question, in the process of
a step and never in that of the dashboard.
"""
