package catalogue

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// runSize is how many bytes of records a sorter keeps in memory: enough for a feed of a hundred thousand slots.
const runSize = 16 << 20

// sorter sorts any number of records by their bytes. What does not fit into memory it writes to a temporary file ($TMPDIR) in
// sorted runs, and merges them when it reads them back.
type sorter struct {
	run     []byte // records one after the other
	records []span // of run
	file    *os.File
	size    int64   // of the file
	runs    []int64 // where each ends in the file
}

// span is a record in a run.
type span struct{ begin, end int32 }

// add adds a record of less than half a run. It does not retain it.
func (s *sorter) add(record []byte) error {
	if len(s.run)+len(record)+8*len(s.records) > runSize {
		if err := s.spill(); err != nil {
			return err
		}
	}
	begin := len(s.run)
	s.run = append(s.run, record...)
	s.records = append(s.records, span{int32(begin), int32(len(s.run))}) //nolint:gosec // below runSize
	return nil
}

func (s *sorter) sort() {
	slices.SortFunc(s.records, func(a, b span) int { return bytes.Compare(s.run[a.begin:a.end], s.run[b.begin:b.end]) })
}

// spill writes what is in memory to the file.
func (s *sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "holdfast-import-*")
		if err != nil {
			return fmt.Errorf("a feed of this size needs a place to sort its rows: %w", err)
		}
		s.file = file
		// So nothing stays, however the program ends. (Where an open file cannot be removed, close removes it.)
		_ = os.Remove(file.Name())
	}
	s.sort()
	w := bufio.NewWriterSize(s.file, 1<<20)
	var length [4]byte
	for _, r := range s.records {
		binary.BigEndian.PutUint32(length[:], uint32(r.end-r.begin)) //nolint:gosec // positive
		if _, err := w.Write(length[:]); err != nil {
			return err
		}
		if _, err := w.Write(s.run[r.begin:r.end]); err != nil {
			return err
		}
		s.size += int64(len(length)) + int64(r.end-r.begin)
	}
	s.runs = append(s.runs, s.size)
	s.run, s.records = s.run[:0], s.records[:0]
	return w.Flush()
}

// close releases the file.
func (s *sorter) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	if gone := os.Remove(s.file.Name()); gone != nil && !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// each calls do with every record, in order; do must not retain it. Nobody may add records afterwards.
func (s *sorter) each(do func(record []byte) error) error {
	if s.file == nil {
		s.sort()
		for _, r := range s.records {
			if err := do(s.run[r.begin:r.end]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.run, s.records = nil, nil
	var m merge
	begin := int64(0)
	for _, end := range s.runs {
		r := &run{r: bufio.NewReaderSize(io.NewSectionReader(s.file, begin, end-begin), 32<<10)}
		begin = end
		if more, err := r.next(); err != nil {
			return err
		} else if more {
			m = append(m, r)
		}
	}
	heap.Init(&m)
	for len(m) > 0 {
		if err := do(m[0].record); err != nil {
			return err
		}
		more, err := m[0].next()
		switch {
		case err != nil:
			return err
		case more:
			heap.Fix(&m, 0)
		default:
			heap.Pop(&m)
		}
	}
	return nil
}

// run reads a run of the file.
type run struct {
	r      *bufio.Reader
	record []byte
}

func (r *run) next() (more bool, err error) {
	var length [4]byte
	switch _, err := io.ReadFull(r.r, length[:]); {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	r.record = slices.Grow(r.record[:0], n)[:n]
	_, err = io.ReadFull(r.r, r.record)
	return err == nil, err
}

// merge is a heap of runs, the one with the smallest record first.
type merge []*run

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i].record, m[j].record) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*run)) }
func (m *merge) Pop() any {
	last := len(*m) - 1
	r := (*m)[last]
	*m = (*m)[:last]
	return r
}

// rowPlace is where a row is, without text, because there are millions.
type rowPlace struct {
	file, group, row int // group is -1 in a feed whose rows are not in groups
}

// placeSize is how many bytes a place takes in a record.
const placeSize = 12

func (r rowPlace) append(b []byte) []byte {
	for _, n := range []int{r.file, r.group + 1, r.row} {
		b = binary.BigEndian.AppendUint32(b, uint32(n)) //nolint:gosec // rows of a file of less than mostUnpacked
	}
	return b
}

func placeOf(b []byte) rowPlace {
	n := func(i int) int { return int(binary.BigEndian.Uint32(b[4*i:])) }
	return rowPlace{n(0), n(1) - 1, n(2)}
}
