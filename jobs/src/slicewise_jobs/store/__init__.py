"""The jobs in the database: every statement that the programs run. Whatever has a time takes it from the database's clock."""
