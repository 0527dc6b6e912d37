package proof

// Integer converts a decoded number of any type to an int from 0 to 2^31-1.
func Integer(v any) (int, bool) {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		n = int64(v) // negative from 2^63 on
	case float64:
		if n = int64(v); float64(n) != v {
			return 0, false
		}
	default:
		return 0, false
	}
	return int(n), n >= 0 && n <= 1<<31-1
}
