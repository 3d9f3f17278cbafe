package progress

import "io"

// New returns the reporter for w.
func New(_ io.Writer, _ bool) Reporter { return Discard }
