"""Language models: one client for every service, and what keeps it honest.

`endpoint` says what is asked and with which key, `ledger` books tokens and price before and after
each call and keeps the answers, `transport` sends, `client` joins them and reads the answers by
schema. Nothing here is imported in the process of the dashboard: steps run in one of their own.
"""
