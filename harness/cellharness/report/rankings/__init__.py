"""The section on rankings: the paper's Figures 3 and 4, and the tables behind them."""
