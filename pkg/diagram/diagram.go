// Package diagram draws what depends on what, from left to right: as SVG with a layout of its own, and as Mermaid and DOT for programs
// that make one. Text may be anything; it is shown as it is. Drawings of thousands of nodes take a moment.
package diagram

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/osbs-tekton/osbs/pkg/logline"
)

// Diagram is a directed graph, which may have circles.
type Diagram struct {
	// Title says in a line what is drawn, and Description in a sentence or two, for those who do not see it too.
	Title, Description string
	Nodes              []Node
	Edges              []Edge
}

// Node is one box.
type Node struct {
	// Name is the first line, State the second one; it is left out if it is empty.
	Name, State string
	Style       Style
}

// Edge leads from one node to another, by their indexes in Nodes.
type Edge struct {
	From, To int
	// Dashed edges are those through which a change comes.
	Dashed bool
}

// Style is how a node looks. Each differs from the others in more than its colour.
type Style int

// The styles.
const (
	// Plain is for what needs no attention.
	Plain Style = iota
	// Outside is for what comes from elsewhere: round corners.
	Outside
	// Due is for what changes: a thick line.
	Due
	// Held is for what does not change though it should: a dashed line.
	Held
)

// styles are in the order of the constants. The colours are light, so that black text stands out from each.
func (s Style) look() look {
	return [...]look{
		Plain:   {class: "plain", fill: "#ffffff", stroke: "#555555", width: 1},
		Outside: {class: "outside", fill: "#eeeeee", stroke: "#555555", width: 1, round: true},
		Due:     {class: "due", fill: "#d6e9ff", stroke: "#0b4f9e", width: 3},
		Held:    {class: "held", fill: "#ffe6cc", stroke: "#a33c00", width: 2, dash: "6 3"},
	}[s]
}

type look struct {
	class, fill, stroke, dash string
	width                     int
	round                     bool
}

// Mermaid writes the diagram as a flowchart of Mermaid.
func (d *Diagram) Mermaid(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "flowchart LR\n  accTitle: %s\n  accDescr: %s\n", mermaidLine(d.Title), mermaidLine(d.Description))
	for i, n := range d.Nodes {
		label := mermaidText(n.Name)
		if n.State != "" {
			label += "<br/>" + mermaidText(n.State)
		}
		before, after := "[", "]"
		if n.Style.look().round {
			before, after = "(", ")"
		}
		fmt.Fprintf(b, "  n%d%s\"%s\"%s:::%s\n", i, before, label, after, n.Style.look().class)
	}
	for _, e := range d.Edges {
		arrow := "-->"
		if e.Dashed {
			arrow = "-.->"
		}
		fmt.Fprintf(b, "  n%d %s n%d\n", e.From, arrow, e.To)
	}
	for s := Plain; s <= Held; s++ {
		l := s.look()
		fmt.Fprintf(b, "  classDef %s fill:%s,stroke:%s,stroke-width:%dpx,color:#000000", l.class, l.fill, l.stroke, l.width)
		if l.dash != "" {
			fmt.Fprintf(b, ",stroke-dasharray:%s", l.dash)
		}
		fmt.Fprintln(b)
	}
	return b.Flush()
}

// mermaidText is the inside of a quoted label: whatever could mean something there is written by its number.
func mermaidText(text string) string {
	var b strings.Builder
	for _, r := range logline.Clean(text) {
		if r > 127 || strings.ContainsRune(" ./:_@-,()", r) || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			b.WriteRune(r)
		} else {
			b.WriteString("#" + strconv.Itoa(int(r)) + ";")
		}
	}
	return b.String()
}

// mermaidLine is text that goes to the end of a line, where nothing can be escaped.
func mermaidLine(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("#;{}%<>&\"`", r) {
			return ' '
		}
		return r
	}, logline.Clean(text))
}

// DOT writes the diagram in the language of Graphviz.
func (d *Diagram) DOT(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph osbs {\n  label=\"%s\";\n  comment=\"%s\";\n  rankdir=LR;\n", dotText(d.Title), dotText(d.Description))
	fmt.Fprintln(b, `  node [shape=box, fontname="monospace", fontcolor="#000000"];`)
	for i, n := range d.Nodes {
		label := dotText(n.Name)
		if n.State != "" {
			label += `\n` + dotText(n.State)
		}
		l := n.Style.look()
		style := "filled"
		if l.round {
			style += ",rounded"
		}
		if l.dash != "" {
			style += ",dashed"
		}
		fmt.Fprintf(b, "  n%d [label=\"%s\", style=\"%s\", fillcolor=\"%s\", color=\"%s\", penwidth=%d, class=\"%s\"];\n",
			i, label, style, l.fill, l.stroke, l.width, l.class)
	}
	for _, e := range d.Edges {
		style := ""
		if e.Dashed {
			style = " [style=dashed]"
		}
		fmt.Fprintf(b, "  n%d -> n%d%s;\n", e.From, e.To, style)
	}
	fmt.Fprintln(b, "}")
	return b.Flush()
}

// dotText is the inside of a quoted string. Graphviz reads escapes and HTML's entities in it.
func dotText(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(logline.Clean(text))
}
