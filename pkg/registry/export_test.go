package registry

// ShareBudget tells whether two clients are bounded together.
func ShareBudget(a, b *Client) bool { return a.budget == b.budget }
