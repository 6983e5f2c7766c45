package catalogue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// parseYAML reads one YAML document. We walk the syntax tree ourselves instead of decoding into structs, because a decoder
// stops at the first mistake, and loses how an id was written.
//
// The error is Problems if the text is not YAML, or too large.
func parseYAML(ctx context.Context, data []byte) (any, error) {
	tokens, err := tokenize(ctx, string(data))
	if err != nil {
		return nil, err
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var syntax yaml.Error
		if !errors.As(err, &syntax) {
			return nil, Problems{{Message: err.Error()}}
		}
		return nil, badYAML(syntax.GetToken(), syntax.GetMessage())
	}
	switch {
	case len(file.Docs) == 0:
		return nil, nil
	case len(file.Docs) > 1:
		return nil, badYAML(file.Docs[1].Start, "one file is one document")
	}
	y := yamlReader{anchors: map[string]anchored{}}
	return y.value(file.Docs[0].Body, 0)
}

// Bounds of what the parser gets. It takes 800 bytes for a token, and its time grows with the square of the text's depth and of
// the number of an object's keys.
const (
	mostTokens = 100_000
	mostMarks  = 3 * mostTokens
	mostKeys   = 1_000 // of an object
)

// tokenize cuts a text into tokens, and refuses a text for which the parser would take forever.
func tokenize(ctx context.Context, text string) (token.Tokens, error) {
	// The scanner may cut all of it at once. Every token has one of these.
	marks := 0
	for i := range len(text) {
		if strings.IndexByte("[]{},:&*!?-\"'#|>%\n", text[i]) >= 0 {
			marks++
		}
	}
	if marks > mostMarks {
		return nil, Problems{{Message: fmt.Sprintf("a catalogue of more than %d signs and lines; clinics may come in several files", mostMarks)}}
	}
	var s scanner.Scanner
	s.Init(text)
	var tokens token.Tokens
	var o outline
	for {
		some, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return tokens, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, t := range some {
			if problem := o.add(t); problem != "" {
				return nil, badYAML(t, problem)
			}
		}
		tokens.Add(some...)
		if len(tokens) > mostTokens {
			return nil, badYAML(tokens[len(tokens)-1], fmt.Sprintf("a catalogue of more than %d tokens; clinics may come in several files", mostTokens))
		}
		if err != nil {
			return tokens, nil //nolint:nilerr // the last token is invalid, and the parser says why
		}
	}
}

// outline is the depth of a text at a token, in lists and objects and in consecutive tags and anchors, and how many keys the
// objects have there.
type outline struct {
	blocks []block
	flows  []block
	marks  int // tags and anchors of the next value
	last   *token.Token
}

// block is a list or object that has begun and not ended.
type block struct {
	column int // of its keys or dashes; none if it is in brackets
	keys   int
}

// add returns which bound t exceeds, or "".
func (o *outline) add(t *token.Token) string {
	last := o.last
	o.last = t
	switch t.Type {
	case token.AnchorType, token.TagType:
		o.marks++
	case token.SequenceStartType, token.MappingStartType:
		o.flows = append(o.flows, block{})
	case token.SequenceEndType, token.MappingEndType:
		o.flows = o.flows[:max(len(o.flows)-1, 0)]
	case token.CollectEntryType:
		o.marks = 0
	case token.SequenceEntryType, token.MappingKeyType:
		o.at(t)
	case token.MappingValueType:
		if n := len(o.flows); n > 0 {
			o.flows[n-1].keys++
			o.marks = 0
		} else if last != nil {
			o.at(last)
		}
	}
	switch {
	case len(o.blocks)+len(o.flows) > mostNested, o.marks > mostNested:
		return errNested.Error()
	case len(o.flows) > 0 && o.flows[len(o.flows)-1].keys > mostKeys,
		len(o.blocks) > 0 && o.blocks[len(o.blocks)-1].keys > mostKeys:
		return fmt.Sprintf("an object of more than %d keys", mostKeys)
	}
	return ""
}

// at handles a key or a dash: everything further to the right has ended.
func (o *outline) at(t *token.Token) {
	o.marks = 0
	column, n := t.Position.Column, len(o.blocks)
	for n > 0 && o.blocks[n-1].column > column {
		n--
	}
	o.blocks = o.blocks[:n]
	if n == 0 || o.blocks[n-1].column < column {
		o.blocks = append(o.blocks, block{column: column})
		n++
	}
	if t.Type != token.SequenceEntryType {
		o.blocks[n-1].keys++
	}
}

func badYAML(t *token.Token, message string) error {
	if t == nil || t.Position == nil {
		return Problems{{Message: message}}
	}
	return Problems{{fmt.Sprintf("line %d, column %d", t.Position.Line, t.Position.Column), message}}
}

type yamlReader struct {
	// anchors has only complete values: an alias within its own anchor is not found, so that no value contains itself.
	anchors map[string]anchored
	// values counts the values read, and an alias's values each time that it occurs, because whoever walks the values meets
	// them as often.
	values int
}

// anchored is a value with a name, and how many values it consists of.
type anchored struct {
	value  any
	values int
}

func (y *yamlReader) value(n ast.Node, depth int) (any, error) {
	if n == nil {
		return nil, nil
	}
	if depth == mostNested {
		return nil, badYAML(n.GetToken(), errNested.Error())
	}
	if err := y.count(n, 1); err != nil {
		return nil, err
	}
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return nil, nil
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return json.Number(n.GetToken().Value), nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.TagNode:
		return y.tagged(n, depth)
	case *ast.AnchorNode:
		before := y.values
		v, err := y.value(n.Value, depth+1)
		if err == nil && n.Name != nil {
			y.anchors[n.Name.GetToken().Value] = anchored{v, y.values - before}
		}
		return v, err
	case *ast.AliasNode:
		if a, ok := y.anchors[n.Value.GetToken().Value]; ok {
			return a.value, y.count(n, a.values)
		}
		return nil, badYAML(n.GetToken(), "no such anchor before this alias")
	case *ast.SequenceNode:
		list := []any{}
		for _, item := range n.Values {
			v, err := y.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case *ast.MappingNode:
		return y.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, depth)
	}
	return nil, badYAML(n.GetToken(), fmt.Sprintf("cannot read %s here", n.Type()))
}

// count adds the values of n.
func (y *yamlReader) count(n ast.Node, values int) error {
	if y.values += values; y.values > mostValues {
		return badYAML(n.GetToken(), errValues.Error())
	}
	return nil
}

// tagged obeys the tag if it matters: !!str 12 is text.
func (y *yamlReader) tagged(n *ast.TagNode, depth int) (any, error) {
	v, err := y.value(n.Value, depth+1)
	if number, ok := v.(json.Number); ok && n.Start != nil && n.Start.Value == "!!str" {
		return number.String(), nil
	}
	return v, err
}

func (y *yamlReader) mapping(pairs []*ast.MappingValueNode, depth int) (any, error) {
	object := map[string]any{}
	var merged []any
	for _, pair := range pairs {
		v, err := y.value(pair.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if pair.Key.IsMergeKey() {
			if list, ok := v.([]any); ok {
				merged = append(merged, list...)
			} else {
				merged = append(merged, v)
			}
			continue
		}
		key, err := y.key(pair.Key, depth)
		if err != nil {
			return nil, err
		}
		object[key] = v
	}
	// Members written here take precedence over merged ones, and earlier merged ones over later ones.
	for _, m := range merged {
		from, ok := m.(map[string]any)
		if !ok {
			return nil, badYAML(pairs[0].GetToken(), "only objects can be merged in, not "+shapeOf(m))
		}
		for key, v := range from {
			if _, here := object[key]; !here {
				object[key] = v
			}
		}
	}
	return object, nil
}

func (y *yamlReader) key(n ast.MapKeyNode, depth int) (string, error) {
	var node ast.Node = n
	if k, ok := n.(*ast.MappingKeyNode); ok {
		node = k.Value
	}
	v, err := y.value(node, depth+1)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	}
	return "", badYAML(n.GetToken(), "a key must be text, not "+shapeOf(v))
}
