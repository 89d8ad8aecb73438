"""The screen of a pair: what it shows, how it is drawn, and what its keys do."""
