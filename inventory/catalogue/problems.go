package catalogue

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a file.
type Problem struct {
	Path    string // where, like merchants[0].groups[1].zones[0].zone_id, or "line 3, column 7" if the text cannot be parsed
	Message string // what, like "no such zone"
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// Problems is everything that is wrong with a file or a feed, found in one pass, so that it can be fixed in one go.
//
// A path names its file only if a feed has several; otherwise the caller knows the file.
type Problems []Problem

const (
	mostPrinted   = 100  // lines of Error
	mostCollected = 1000 // problems of one pass; a feed can have millions
)

// Error prints the first hundred problems, one per line.
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

// findings collects the problems of one pass, and what looks like one.
type findings struct {
	problems Problems
	most     int // no more than this many; 0: mostCollected
	doubts   []doubt
}

// doubt is something that is not wrong but looks like a mistake, in all places of one kind.
type doubt struct {
	kind  string // the path without indexes, and the message
	first Problem
	more  int
}

// doubt records one.
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

// warnings returns the doubts, each once.
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

// full reports whether there is no point in reading further.
func (f *findings) full() bool {
	if f.most > 0 {
		return len(f.problems) >= f.most
	}
	return len(f.problems) >= mostCollected
}

// err returns what was found, or nil. (Problems(nil) in an error would not be nil.)
func (f *findings) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	if len(f.problems) == mostCollected {
		return append(f.problems, Problem{Message: fmt.Sprintf("stopped after %d problems", mostCollected)})
	}
	return f.problems
}
