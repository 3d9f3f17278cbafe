package registry

import (
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ReadBlob reads a small blob, such as an image's configuration, into memory, and checks its digest. More than limit bytes are an
// error.
func ReadBlob(layer v1.Layer, limit int64) ([]byte, error) {
	r, err := layer.Compressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("a blob has more than %d bytes", limit)
	}
	return data, nil
}
