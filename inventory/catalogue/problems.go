package catalogue

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Path    string // where, like merchants[0].groups[1].zones[0].zone_id, or "line 3, column 7" of text that cannot be read at all
	Message string // what, like "no such zone"
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is everything that is wrong with a file or a feed, found in one
// reading, so that it can be mended in one go.
//
// A path names its file only where a feed has several; elsewhere the caller
// knows which file it asked about.
type Problems []Problem

const (
	mostPrinted   = 100  // lines of Error
	mostCollected = 1000 // problems of one reading; a feed can have millions
)

// Error is one problem to a line. It prints the first hundred.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i == mostPrinted {
			fmt.Fprintf(&b, "\n… and %d more", len(ps)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// findings collects the problems of one reading, and what looks like one.
type findings struct {
	problems Problems
	most     int // no more than this many; 0: mostCollected
	doubts   []doubt
}

// doubt is what is not wrong but looks like a mistake, at all places of one kind.
type doubt struct {
	kind  string // the path without indexes, and the message
	first Problem
	more  int
}

// doubt notes one.
func (f *findings) doubt(p *place, message string) {
	kind := p.kind() + ": " + message
	for i := range f.doubts {
		if f.doubts[i].kind == kind {
			f.doubts[i].more++
			return
		}
	}
	if len(f.doubts) < mostPrinted {
		f.doubts = append(f.doubts, doubt{kind: kind, first: Problem{p.path(), message}})
	}
}

// warnings are the doubts, each told once.
func (f *findings) warnings() Problems {
	var ps Problems
	for _, d := range f.doubts {
		if d.more > 0 {
			d.first.Message += fmt.Sprintf(" (and so at %d other places)", d.more)
		}
		ps = append(ps, d.first)
	}
	return ps
}

func (f *findings) add(path, message string) {
	if !f.full() {
		f.problems = append(f.problems, Problem{path, message})
	}
}

// full reports whether reading on is pointless.
func (f *findings) full() bool {
	if f.most > 0 {
		return len(f.problems) >= f.most
	}
	return len(f.problems) >= mostCollected
}

// err is what was found, or nil. (Problems(nil) in an error would not be nil.)
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	if len(f.problems) == mostCollected {
		return append(f.problems, Problem{Message: fmt.Sprintf("stopped after %d problems", mostCollected)})
	}
	return f.problems
}
