//go:build !linux

package process

import (
	"errors"

	"github.com/blindfold-wamp/blindfold/verify/internal/search"
)

func scanMemory(int, *search.Scanner, func(*search.Pattern)) (Memory, error) {
	return Memory{}, errors.New("memory can be read on Linux only")
}
