package diagram

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/osbs-tekton/osbs/pkg/logline"
)

// Sizes in the drawing, in pixels.
const (
	boxHeight  = 38
	boxSpace   = 14 // between boxes of a column
	columnGap  = 70
	margin     = 40
	titleSpace = 30
	lineHeight = 15
	charWidth  = 7.3 // of a monospaced font of fontSize
	fontSize   = 12
	padding    = 10
	// maxText bounds a line, in characters; the whole text is in the tooltip.
	maxText = 48
)

// SVG writes the diagram as an image with text in it, to be looked at in a browser.
func (d *Diagram) SVG(w io.Writer) error {
	l := arrange(len(d.Nodes), d.Edges)
	s := drawing{d: d, layout: l, b: bufio.NewWriter(w)}
	s.measure()
	s.printf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title description" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" `+
		`font-family="monospace" font-size="%d">`+"\n", s.width, s.height, s.width, s.height, fontSize)
	s.printf("<title id=\"title\">%s</title>\n<desc id=\"description\">%s</desc>\n", xmlText(d.Title), xmlText(d.Description))
	s.printf(`<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#333333"/></marker></defs>` + "\n")
	s.printf(`<rect width="100%%" height="100%%" fill="#ffffff"/>`+"\n"+`<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", margin, margin+fontSize, xmlText(d.Title))
	for i, e := range d.Edges {
		s.edge(e, l.paths[i])
	}
	for i, n := range d.Nodes {
		s.node(i, n)
	}
	s.printf("</svg>\n")
	return s.b.Flush()
}

// drawing is a diagram while it is drawn.
type drawing struct {
	d      *Diagram
	layout *layout
	b      *bufio.Writer
	// left edge and width of each column
	left, wide    []float64
	width, height float64
}

func (s *drawing) printf(format string, args ...any) { fmt.Fprintf(s.b, format, args...) }

// measure finds how wide each column is.
func (s *drawing) measure() {
	x := float64(margin)
	for _, column := range s.layout.columns {
		longest := 0
		for _, slot := range column {
			if slot < len(s.d.Nodes) {
				n := s.d.Nodes[slot]
				longest = max(longest, utf8.RuneCountInString(clip(n.Name)), utf8.RuneCountInString(clip(n.State)))
			}
		}
		wide := float64(longest)*charWidth + 2*padding
		s.left, s.wide = append(s.left, x), append(s.wide, wide)
		x += wide + columnGap
	}
	title := float64(utf8.RuneCountInString(s.d.Title))*charWidth*1.1 + 2*margin
	s.width = max(x-columnGap+margin, title)
	s.height = s.layout.height*(boxHeight+boxSpace) + titleSpace + 2*margin
}

// middle is where the middle of a slot is, from the top.
func (s *drawing) middle(slot int) float64 {
	return margin + titleSpace + s.layout.y[slot]*(boxHeight+boxSpace)
}

// edge is a curve from the right side of one box to the left side of another, level where it passes a column.
func (s *drawing) edge(e Edge, path []int) {
	column := s.layout.column
	x, y := s.left[column[path[0]]]+s.wide[column[path[0]]], s.middle(path[0])
	s.printf(`<path d="M%.1f,%.1f`, x, y)
	if column[e.To] <= column[e.From] {
		s.back(x, y, s.left[column[e.To]], s.middle(e.To))
		path = nil
	}
	for i := 1; i < len(path); i++ {
		slot := path[i]
		toX, toY := s.left[column[slot]], s.middle(slot)
		half := max((toX-x)/2, columnGap/2)
		s.printf(" C%.1f,%.1f %.1f,%.1f %.1f,%.1f", x+half, y, toX-half, toY, toX, toY)
		if x, y = toX, toY; i < len(path)-1 {
			x += s.wide[column[slot]]
			s.printf(" L%.1f,%.1f", x, y)
		}
	}
	dash := ""
	if e.Dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	s.printf(`" fill="none" stroke="#333333"%s marker-end="url(#arrow)"/>`+"\n", dash)
}

// back is the curve of an edge that closes a circle: below both boxes.
func (s *drawing) back(x, y, toX, toY float64) {
	const wide = columnGap / 2
	below := max(y, toY) + (boxHeight+boxSpace)/2
	s.printf(" C%.1f,%.1f %.1f,%.1f %.1f,%.1f L%.1f,%.1f C%.1f,%.1f %.1f,%.1f %.1f,%.1f",
		x+wide, y, x+wide, below, x, below, toX, below, toX-wide, below, toX-wide, toY, toX, toY)
}

func (s *drawing) node(i int, n Node) {
	l := n.Style.look()
	column := s.layout.column[i]
	x, y := s.left[column], s.middle(i)-boxHeight/2
	tooltip := n.Name
	if n.State != "" {
		tooltip += ": " + n.State
	}
	s.printf(`<g class="%s"><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d" fill="%s" stroke="%s" stroke-width="%d"`,
		l.class, xmlText(tooltip), x, y, s.wide[column], boxHeight, l.fill, l.stroke, l.width)
	if l.round {
		s.printf(` rx="%d"`, boxHeight/2)
	}
	if l.dash != "" {
		s.printf(` stroke-dasharray="%s"`, l.dash)
	}
	s.printf("/>")
	baseline := y + boxHeight/2 + fontSize/3
	if n.State != "" {
		baseline -= lineHeight / 2
		s.printf(`<text x="%.1f" y="%.1f" font-style="italic">%s</text>`, x+padding, baseline+lineHeight, xmlText(clip(n.State)))
	}
	s.printf(`<text x="%.1f" y="%.1f">%s</text></g>`+"\n", x+padding, baseline, xmlText(clip(n.Name)))
}

// clip bounds a line of text.
func clip(text string) string {
	if utf8.RuneCountInString(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText-1]) + "…"
}

// xmlText is text as it may stand in XML.
func xmlText(text string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(logline.Clean(text))); err != nil {
		return ""
	}
	return b.String()
}
