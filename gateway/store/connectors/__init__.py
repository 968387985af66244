"""What the store keeps for connectors: external accounts, their mail, and what they have granted us."""
