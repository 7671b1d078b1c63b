package config

// Lag is how far behind the time of kept trust material may be.
const Lag = lag
