package diagram

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/osbs-tekton/osbs/internal/golden"
)

var update = golden.Flag()

// hostile is a name that means something in every language here.
const hostile = "a\"b'<c>&amp;--\\N;%{}[]#`end|\n\x1b[31m]]>é" + "\u202e"

func sample() *Diagram {
	return &Diagram{
		Title: "Images", Description: "What is built on what.",
		Nodes: []Node{
			{Name: "base:1.0", Style: Outside}, {Name: "left:1.0", State: "ready", Style: Due}, {Name: "right:1.0", State: "failed", Style: Held},
			{Name: "top:1.0"}, {Name: strings.Repeat("long ", 20), State: hostile}, {Name: hostile},
		},
		// top has a way of two and one of one; the last two are a circle, and one is on itself.
		Edges: []Edge{
			{From: 0, To: 1, Dashed: true}, {From: 0, To: 2}, {From: 1, To: 3}, {From: 2, To: 3}, {From: 0, To: 3}, {From: 4, To: 5}, {From: 5, To: 4}, {From: 3, To: 3},
		},
	}
}

func (d *Diagram) in(t *testing.T, language string) string {
	t.Helper()
	var out bytes.Buffer
	write := map[string]func(io.Writer) error{"svg": d.SVG, "mmd": d.Mermaid, "dot": d.DOT}[language]
	if err := write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"svg", "mmd", "dot"} {
		golden.Check(t, *update, filepath.Join("testdata", "sample."+language), sample().in(t, language))
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	empty := &Diagram{Title: "Images"}
	for _, language := range []string{"svg", "mmd", "dot"} {
		if got := empty.in(t, language); !strings.Contains(got, "Images") {
			t.Errorf("%s: %s", language, got)
		}
	}
	parseXML(t, empty.in(t, "svg"))
}

// parseXML checks that text is one well-formed document, and returns what it says between its tags.
func parseXML(t *testing.T, text string) string {
	t.Helper()
	var said strings.Builder
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return said.String()
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if data, ok := token.(xml.CharData); ok {
			said.Write(data)
		}
	}
}

var (
	mermaidLines = regexp.MustCompile(`^(flowchart LR|  acc(Title|Descr): [^#;{}<>"]*|  n\d+(\["[^"<>]*(<br/>[^"<>]*)?"\]|\("[^"<>]*(<br/>[^"<>]*)?"\)):::\w+|  n\d+ (-->|-\.->) n\d+|  classDef [\w #:,-]+)$`)
	dotLines     = regexp.MustCompile(`^(digraph osbs \{|\}|  \w+="([^"\\]|\\.)*";|  rankdir=LR;|  node \[.*\];|  n\d+ \[label="([^"\\]|\\["\\n])*", [^\\]*\];|  n\d+ -> n\d+( \[style=dashed\])?;)$`)
)

// checkLines checks that each line of a diagram is one that it may have, whatever the names are.
func checkLines(t *testing.T, d *Diagram) {
	t.Helper()
	for language, rule := range map[string]*regexp.Regexp{"mmd": mermaidLines, "dot": dotLines} {
		for line := range strings.Lines(d.in(t, language)) {
			if !rule.MatchString(strings.TrimSuffix(line, "\n")) {
				t.Errorf("%s: %q", language, line)
			}
		}
	}
	parseXML(t, d.in(t, "svg"))
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Title, d.Description = hostile, hostile
	checkLines(t, d)
	said := parseXML(t, d.in(t, "svg"))
	if !strings.Contains(said, `a"b'<c>&amp;--\N;%{}[]#`+"`end|") || strings.ContainsAny(said, "\x1b\u202e") {
		t.Errorf("the SVG says %q", said)
	}
}

func FuzzNames(f *testing.F) {
	f.Add(hostile, "")
	f.Add("", hostile)
	f.Add("\"]\n  click n0 \"javascript:x\"", "<script>")
	f.Fuzz(func(t *testing.T, name, state string) {
		checkLines(t, &Diagram{Title: name, Description: state, Nodes: []Node{{Name: name, State: state, Style: Outside}, {Name: state}}, Edges: []Edge{{From: 0, To: 1}}})
	})
}

// random has nodes on one or two of those before them, and now and then a circle.
func random(r *rand.Rand, nodes int) *Diagram {
	d := &Diagram{Title: "random"}
	for i := range nodes {
		d.Nodes = append(d.Nodes, Node{Name: fmt.Sprintf("image%d:1", i), Style: Style(i % 4)})
		for range min(i, 1+r.IntN(2)) {
			d.Edges = append(d.Edges, Edge{From: r.IntN(i), To: i})
		}
		if i > 0 && r.IntN(50) == 0 {
			d.Edges = append(d.Edges, Edge{From: i, To: r.IntN(i)})
		}
	}
	return d
}

// No two nodes of a column overlap, and but for edges of circles all lead to a later column.
func TestLayout(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := random(r, 1+r.IntN(300))
		l := arrange(len(d.Nodes), d.Edges)
		back := 0
		for i, e := range d.Edges {
			if l.column[e.From] >= l.column[e.To] {
				back++
			}
			if path := l.paths[i]; path[0] != e.From || path[len(path)-1] != e.To {
				t.Errorf("path %v of %v", path, e)
			}
		}
		if back > len(d.Edges)/4 {
			t.Errorf("seed %d: %d of %d edges lead back", seed, back, len(d.Edges))
		}
		placed := 0
		for _, column := range l.columns {
			placed += len(column)
			for i := range len(column) - 1 {
				need := (bendHeight + bendHeight) / 2
				if column[i] < len(d.Nodes) && column[i+1] < len(d.Nodes) {
					need = nodeHeight
				}
				if l.y[column[i+1]]-l.y[column[i]] < need-1e-6 {
					t.Fatalf("seed %d: slots %d and %d overlap", seed, column[i], column[i+1])
				}
			}
		}
		if placed != len(l.column) {
			t.Errorf("%d of %d slots are placed", placed, len(l.column))
		}
	}
}

// A graph without circles has no edge that leads back.
func TestLayoutOfChain(t *testing.T) {
	t.Parallel()
	l := arrange(4, []Edge{{From: 3, To: 2}, {From: 2, To: 1}, {From: 1, To: 0}, {From: 3, To: 0}})
	if fmt.Sprint(l.column[:4]) != "[3 2 1 0]" || len(l.paths[3]) != 4 || l.columns[1][0] != 2 && l.columns[1][1] != 2 {
		t.Errorf("%+v", l)
	}
}

func BenchmarkSVG(b *testing.B) {
	d := random(rand.New(rand.NewPCG(1, 1)), 2000)
	for b.Loop() {
		if err := d.SVG(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
