"""What pools cost: prices, sums of money and of work, budgets. Pure arithmetic; amounts are in the currency of the price list."""
