package worktree

import "bytes"

// Entry is one entry of a tree.
type Entry struct {
	Hash Hash
	mode uint32
}

// Link says whether the entry is a symbolic link.
func (e Entry) Link() bool { return e.mode == modeLink }

// File says whether the entry is a file.
func (e Entry) File() bool {
	return e.mode == modeFile || e.mode == modeExecutable || e.mode == modeFileGroup
}

// Find looks a name up in the data of a tree.
func Find(tree []byte, name string) (Entry, bool) {
	for len(tree) > 0 {
		mode, entry, hash, rest, ok := nextEntry(tree)
		if !ok {
			return Entry{}, false
		}
		if entry == name {
			return Entry{hash, mode}, true
		}
		tree = rest
	}
	return Entry{}, false
}

// Replace is the tree with another object for a name that it has.
func Replace(tree []byte, name string, h Hash) []byte {
	out := bytes.Clone(tree)
	for rest := out; len(rest) > 0; {
		_, entry, _, next, ok := nextEntry(rest)
		if !ok {
			break
		}
		if entry == name {
			copy(rest[len(rest)-len(next)-len(h):], h[:])
			break
		}
		rest = next
	}
	return out
}
