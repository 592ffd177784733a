package main

import "github.com/neontwin/neontwin/internal/twin"

// bytesPerSecond is a rate as a person writes it.
type bytesPerSecond int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *bytesPerSecond) UnmarshalText(text []byte) error {
	n, err := twin.ParseRate(string(text))
	*r = bytesPerSecond(n)
	return err
}
