package router

// DefaultLimits returns what the zero Limits stands for.
func DefaultLimits() Limits { return Limits{}.withDefaults() }
