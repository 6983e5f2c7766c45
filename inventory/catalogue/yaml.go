package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parseYAML reads one YAML document. We walk the syntax tree ourselves instead
// of decoding into structs: a decoder stops at the first mistake, and loses how
// an id was written.
//
// The error is Problems if the text is not YAML.
func parseYAML(data []byte) (any, error) {
	file, err := parser.ParseBytes(data, 0)
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
	y := yamlReader{anchors: map[string]any{}}
	return y.value(file.Docs[0].Body, 0)
}

func badYAML(t *token.Token, message string) error {
	if t == nil || t.Position == nil {
		return Problems{{Message: message}}
	}
	return Problems{{fmt.Sprintf("line %d, column %d", t.Position.Line, t.Position.Column), message}}
}

type yamlReader struct {
	// anchors are what is complete: an alias within its own anchor is not
	// found, so that no value contains itself.
	anchors map[string]any
}

func (y *yamlReader) value(n ast.Node, depth int) (any, error) {
	if n == nil {
		return nil, nil
	}
	if depth == mostNested {
		return nil, badYAML(n.GetToken(), errNested.Error())
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
		v, err := y.value(n.Value, depth+1)
		if err == nil && n.Name != nil {
			y.anchors[n.Name.GetToken().Value] = v
		}
		return v, err
	case *ast.AliasNode:
		if v, ok := y.anchors[n.Value.GetToken().Value]; ok {
			return v, nil
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

// tagged keeps to what the tag says where it matters: !!str 12 is text.
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
	// What is written here wins over what is merged in, and the first of that
	// over the next.
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
