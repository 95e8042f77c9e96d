"""How far a text can be trusted: signs that speak against it, and the ledger of what is left."""
