package catalogue

import (
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
func parseYAML(data []byte) (*value, error) {
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
		return &value{}, nil
	case len(file.Docs) > 1:
		return nil, badYAML(file.Docs[1].Start, "one file is one document")
	}
	y := yamlReader{anchors: map[string]*value{}}
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
	anchors map[string]*value
}

func (y *yamlReader) value(n ast.Node, depth int) (*value, error) {
	if n == nil {
		return &value{}, nil
	}
	if depth == mostNested {
		return nil, badYAML(n.GetToken(), errNested.Error())
	}
	switch n := n.(type) {
	case *ast.NullNode, *ast.CommentGroupNode:
		return &value{}, nil
	case *ast.BoolNode:
		if n.Value {
			return &value{shape: boolean, text: "true"}, nil
		}
		return &value{shape: boolean, text: "false"}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return &value{shape: number, text: n.GetToken().Value}, nil
	case *ast.StringNode:
		return &value{shape: text, text: n.Value}, nil
	case *ast.LiteralNode:
		return &value{shape: text, text: n.Value.Value}, nil
	case *ast.TagNode:
		return y.tagged(n, depth)
	case *ast.AnchorNode:
		v, err := y.value(n.Value, depth+1)
		if err == nil && n.Name != nil {
			y.anchors[n.Name.GetToken().Value] = v
		}
		return v, err
	case *ast.AliasNode:
		if v := y.anchors[n.Value.GetToken().Value]; v != nil {
			return v, nil
		}
		return nil, badYAML(n.GetToken(), "no such anchor before this alias")
	case *ast.SequenceNode:
		v := &value{shape: list}
		for _, item := range n.Values {
			i, err := y.value(item, depth+1)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, i)
		}
		return v, nil
	case *ast.MappingNode:
		return y.mapping(n.Values, depth)
	case *ast.MappingValueNode:
		return y.mapping([]*ast.MappingValueNode{n}, depth)
	}
	return nil, badYAML(n.GetToken(), fmt.Sprintf("cannot read %s here", n.Type()))
}

// tagged keeps to what the tag says where it matters: !!str 12 is text.
func (y *yamlReader) tagged(n *ast.TagNode, depth int) (*value, error) {
	v, err := y.value(n.Value, depth+1)
	if err != nil || n.Start == nil || n.Start.Value != "!!str" || v.shape > text {
		return v, err
	}
	return &value{shape: text, text: v.text}, nil
}

func (y *yamlReader) mapping(pairs []*ast.MappingValueNode, depth int) (*value, error) {
	v := &value{shape: object}
	var merged []field
	for _, pair := range pairs {
		f, err := y.value(pair.Value, depth+1)
		if err != nil {
			return nil, err
		}
		if pair.Key.IsMergeKey() {
			merged = append(merged, f.fields...)
			for _, item := range f.items {
				merged = append(merged, item.fields...)
			}
			continue
		}
		key, err := y.key(pair.Key, depth)
		if err != nil {
			return nil, err
		}
		v.fields = append(v.fields, field{key, f})
	}
	for _, f := range merged { // what is written here wins over what is merged in
		if v.get(f.key) == nil {
			v.fields = append(v.fields, f)
		}
	}
	return v, nil
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
	if v.shape > text {
		return "", badYAML(n.GetToken(), "a key must be text, not "+v.shape.String())
	}
	return v.text, nil
}
