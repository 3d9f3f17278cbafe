package release

import (
	"bytes"
	"strings"
	"unicode"
)

// char is a character of an instruction, and where it stands in the text.
type char struct {
	c  byte
	at int
}

// locate finds the number at the beginning of the value of the pair with the given index in the instruction of the lines first to
// last, counted from 1.
func locate(text []byte, first, last, index int) (start, end int, ok bool) {
	chars := logical(text, first, last, escapeOf(text))
	chars = skip(chars, isSpace)
	chars = skip(chars, func(c byte) bool { return !isSpace(c) }) // LABEL or ENV
	chars = skip(chars, isSpace)
	escape := escapeOf(text)
	var value []char
	if word, rest := nextWord(chars, escape); !bytes.ContainsRune(plain(word), '=') {
		value = skip(rest, isSpace) // the old form: NAME VALUE
	} else {
		for range index {
			chars = skip(rest, isSpace)
			word, rest = nextWord(chars, escape)
		}
		equals := bytes.IndexByte(plain(word), '=')
		if equals < 0 {
			return 0, 0, false
		}
		value = word[equals+1:]
	}
	if len(value) > 0 && (value[0].c == '"' || value[0].c == '\'') {
		value = value[1:]
	}
	return digits(value)
}

// digits is where the number at the beginning of value stands, if it stands in one piece.
func digits(value []char) (start, end int, ok bool) {
	n := 0
	for n < len(value) && value[n].c >= '0' && value[n].c <= '9' {
		if value[n].at != value[0].at+n {
			return 0, 0, false
		}
		n++
	}
	if n == 0 {
		return 0, 0, false
	}
	return value[0].at, value[0].at + n, true
}

func plain(chars []char) []byte {
	b := make([]byte, len(chars))
	for i, c := range chars {
		b[i] = c.c
	}
	return b
}

func isSpace(c byte) bool { return c < 0x80 && unicode.IsSpace(rune(c)) }

func skip(chars []char, drop func(byte) bool) []char {
	for len(chars) > 0 && drop(chars[0].c) {
		chars = chars[1:]
	}
	return chars
}

// nextWord splits a word at the first space that is neither quoted nor escaped, as BuildKit's parser does.
func nextWord(chars []char, escape byte) (word, rest []char) {
	quote := byte(0)
	for i := 0; i < len(chars); i++ {
		switch c := chars[i].c; {
		case c == escape && quote != '\'':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && isSpace(c):
			return chars[:i], chars[i:]
		}
	}
	return chars, nil
}

// logical joins the lines of an instruction: continuation marks, comments and empty lines between are left out.
func logical(text []byte, first, last int, escape byte) []char {
	var chars []char
	at := 0
	for n := 1; n <= last && at < len(text); n++ {
		line, next := text[at:], len(text)
		if i := bytes.IndexByte(line, '\n'); i >= 0 {
			line, next = line[:i], at+i+1
		}
		line = bytes.TrimSuffix(line, []byte("\r"))
		start := at
		at = next
		if n < first || n > first && ignored(line) {
			continue
		}
		line = withoutMark(line, escape)
		for i, c := range line {
			chars = append(chars, char{c, start + i})
		}
	}
	return chars
}

// ignored says whether a line between the lines of an instruction does not belong to it.
func ignored(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

// withoutMark drops the continuation mark at the end of a line.
func withoutMark(line []byte, escape byte) []byte {
	trimmed := bytes.TrimRight(line, " \t")
	if len(trimmed) > 0 && trimmed[len(trimmed)-1] == escape && (len(trimmed) < 2 || trimmed[len(trimmed)-2] != escape) {
		return trimmed[:len(trimmed)-1]
	}
	return line
}

// escapeOf reads the escape directive, which stands among the comments before the first instruction.
func escapeOf(text []byte) byte {
	for line := range strings.Lines(strings.TrimPrefix(string(text), "\ufeff")) {
		line = strings.TrimSpace(line)
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		name, value, ok := strings.Cut(comment, "=")
		if !ok {
			break
		}
		if strings.EqualFold(strings.TrimSpace(name), "escape") && strings.TrimSpace(value) == "`" {
			return '`'
		}
	}
	return '\\'
}
