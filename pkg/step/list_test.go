package step

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzList: whatever a Tekton param holds, a list has bounded elements of some text; and a JSON list is read as it was written.
func FuzzList(f *testing.F) {
	for _, text := range []string{"a", "a,b\nc", `["a","b"]`, "[::1]:5000", "[", `["a"`, "[]", "\n,\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, l := range []*list{{}, {words: true}} {
			_ = l.Set(text)
			_ = l.add(text)
			if len(l.values) > maxElements {
				t.Errorf("%d elements", len(l.values))
			}
			for _, e := range l.values {
				if e == "" || len(e) > maxElement {
					t.Errorf("element of %d bytes", len(e))
				}
			}
		}
		data, err := json.Marshal([]string{text})
		if err != nil || text == "" || len(text) > maxElement {
			return
		}
		var want []string
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		var l list
		if err := l.Set(string(data)); err != nil || !cmp.Equal(want, l.values) {
			t.Errorf("%q was read as %q, %v", want, l.values, err)
		}
	})
}
