package transfer

// SetParts makes small blobs large: those of more than limit bytes are sent in parts of the given size.
func (r *Repository) SetParts(limit, part int64) { r.wholeLimit, r.partSize = limit, part }
