package scope

// hidden holds secrets in a closure, where code that uses reflection can't find
// them: package fmt calls no methods of an unexported field, and follows pointers for
// some verbs.
type hidden[T any] func() *T

func hide[T any](v *T) hidden[T] { return func() *T { return v } }
