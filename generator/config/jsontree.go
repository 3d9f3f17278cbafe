package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// jsonValue is a value of a JSON text, with the line that it begins on: encoding/json's own decoding forgets where things were.
type jsonValue struct {
	line int
	// scalar is a string, a json.Number, a bool or nil; it is not looked at if isObject or isList.
	scalar   any
	isObject bool
	isList   bool
	fields   []jsonField
	items    []*jsonValue
}

type jsonField struct {
	name  string
	value *jsonValue
}

// field is the value of a field of an object, nil if it has none of that name.
func (v *jsonValue) field(name string) *jsonValue {
	for _, f := range v.fields {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// text is a string's, empty for anything else.
func (v *jsonValue) text() string {
	if v == nil {
		return ""
	}
	s, _ := v.scalar.(string)
	return s
}

// jsonReader reads a tree. A field that is there twice is an error.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	depth   int
}

func readJSON(data []byte) (*jsonValue, int, error) {
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("the file is larger than %d bytes", maxFile)
	}
	r := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	r.decoder.UseNumber()
	v, err := r.value()
	if err == nil {
		if _, more := r.decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after the end of the object")
		}
	}
	if err == nil {
		return v, 0, nil
	}
	line := r.line()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line = 1 + bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n"))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the file ends too early")
	}
	return nil, line, err
}

// line is where the reader is.
func (r *jsonReader) line() int {
	return 1 + bytes.Count(r.data[:min(int(r.decoder.InputOffset()), len(r.data))], []byte("\n"))
}

func (r *jsonReader) value() (*jsonValue, error) {
	token, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	v := &jsonValue{line: r.line()}
	if r.depth++; r.depth > maxNesting {
		return nil, fmt.Errorf("values are more than %d deep in each other", maxNesting)
	}
	defer func() { r.depth-- }()
	switch token {
	case json.Delim('{'):
		v.isObject = true
		return v, r.object(v)
	case json.Delim('['):
		v.isList = true
		for r.decoder.More() {
			item, err := r.value()
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
		_, err := r.decoder.Token()
		return v, err
	}
	v.scalar = token
	return v, nil
}

func (r *jsonReader) object(v *jsonValue) error {
	seen := map[string]bool{}
	for r.decoder.More() {
		token, err := r.decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if seen[name] {
			return fmt.Errorf("the field %.60q is there twice", name)
		}
		seen[name] = true
		value, err := r.value()
		if err != nil {
			return err
		}
		v.fields = append(v.fields, jsonField{name: name, value: value})
	}
	_, err := r.decoder.Token()
	return err
}
