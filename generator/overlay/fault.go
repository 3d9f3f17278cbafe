package overlay

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/failure"
	"github.com/osbs-tekton/osbs/pkg/osbsconf"
)

// maxFaults bounds how many faults are told.
const maxFaults = 100

// faults are what is wrong with overlays.
type faults []fault

type fault struct {
	file string
	line int
	text string
}

func (f *faults) add(file string, line int, format string, args ...any) {
	*f = append(*f, fault{file, line, fmt.Sprintf(format, args...)})
}

// err is all faults, a line each: in the order of the files, and in each by line.
func (f *faults) err() error {
	if len(*f) == 0 {
		return nil
	}
	order := map[string]int{}
	for i, one := range *f {
		if _, seen := order[one.file]; !seen {
			order[one.file] = i
		}
	}
	slices.SortStableFunc(*f, func(a, b fault) int {
		return cmp.Or(cmp.Compare(order[a.file], order[b.file]), cmp.Compare(a.line, b.line))
	})
	var all []error
	for i, one := range slices.Compact(*f) {
		if i == maxFaults {
			all = append(all, fmt.Errorf("%s: and more", one.file))
			break
		}
		all = append(all, fmt.Errorf("%s:%d: %s", one.file, one.line, oneLine(one.text)))
	}
	return failure.New(failure.Usage, "%w", errors.Join(all...))
}

// oneLine keeps what others have written from breaking the line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, text)
}

// near is "; did you mean NAME?", or "; there are NAMES" if no name is near.
func near(name string, names []string) string {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if n := osbsconf.Nearest(name, names); n != "" {
		return "; did you mean " + n + "?"
	}
	if len(names) == 0 {
		return "; there are none"
	}
	return "; there are " + strings.Join(names, ", ")
}
