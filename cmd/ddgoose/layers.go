package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the names of our environment variables.
const envPrefix = "DDGOOSE_"

// settingLayers are where an agent's settings come from: a flag beats the
// environment, which beats the file.
type settingLayers struct {
	line   map[string][]string // flags as they were given, by name
	lookup func(string) (string, bool)
}

// read reads all layers again.
func (l settingLayers) read() (*agentSettings, error) {
	var s agentSettings
	s.flags()
	for name, words := range l.line {
		for _, w := range words {
			if err := s.set.Set(name, w); err != nil {
				return nil, err
			}
		}
	}
	return &s, l.fill(&s)
}

// fill sets the flags that the command line has not set, and reports all faults at once.
func (l settingLayers) fill(s *agentSettings) error {
	file := map[string]fileSetting{}
	if s.configFile == "" {
		s.configFile, _ = l.lookup(envName("config"))
	}
	if s.configFile != "" {
		var err error
		if file, err = readConfigFile(s.configFile, s.set); err != nil {
			return err
		}
	}
	var faults []error
	set := func(f *pflag.Flag, words []string, where string) {
		for _, w := range words {
			if err := f.Value.Set(w); err != nil {
				faults = append(faults, fmt.Errorf("%s %q: %w", where, w, err))
			}
		}
	}
	s.set.VisitAll(func(f *pflag.Flag) {
		if _, onLine := l.line[f.Name]; onLine || f.Name == "config" {
			return
		}
		if word, _ := l.lookup(envName(f.Name)); word != "" {
			set(f, envWords(f, word), envName(f.Name))
		} else if from, ok := file[f.Name]; ok {
			set(f, from.words, fmt.Sprintf("%s line %d: %s:", s.configFile, from.line, f.Name))
		}
	})
	if len(faults) > 0 {
		return usage("%w", errors.Join(faults...))
	}
	return nil
}

// envName is the variable that sets a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// envWords splits the value of a flag that may be repeated: at commas, or at line ends if its
// words are commands. The flag --join splits its value itself.
func envWords(f *pflag.Flag, word string) []string {
	_, isList := f.Value.(*listFlag)
	switch {
	case f.Name == "on":
		return strings.FieldsFunc(word, func(r rune) bool { return r == '\n' })
	case isList && f.Name != "join":
		return strings.Split(word, ",")
	}
	return []string{word}
}

// fileSetting is one key of the file, as the words of its flag.
type fileSetting struct {
	words []string
	line  int
}

// readConfigFile reads a YAML map whose keys are the names of flags.
func readConfigFile(path string, flags *pflag.FlagSet) (map[string]fileSetting, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("config file: %w", err)
	}
	defer f.Close()
	var doc yaml.Node
	decoder := yaml.NewDecoder(f)
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil // empty, or comments alone
	case err != nil:
		return nil, usage("config file %s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, usage("config file %s: it has several documents: want one", path)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, usage("config file %s line %d: want keys with values, for example log-level: info", path, root.Line)
	}
	settings := map[string]fileSetting{}
	var faults []error
	bad := func(at *yaml.Node, format string, args ...any) {
		faults = append(faults, fmt.Errorf("config file %s line %d: %w", path, at.Line, fmt.Errorf(format, args...)))
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		known := knownKeys(flags)
		if !slices.Contains(known, key.Value) {
			bad(key, "unknown key %q: want one of %s", key.Value, strings.Join(known, " "))
			continue
		}
		if _, twice := settings[key.Value]; twice {
			bad(key, "key %q stands twice: want it once", key.Value)
			continue
		}
		words, err := fileWords(value, flags.Lookup(key.Value))
		if err != nil {
			bad(value, "%s: %w", key.Value, err)
		}
		settings[key.Value] = fileSetting{words, value.Line}
	}
	if len(faults) > 0 {
		return nil, usage("%w", errors.Join(faults...))
	}
	return settings, nil
}

// knownKeys are the flags that a file may set.
func knownKeys(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "config" {
			names = append(names, f.Name)
		}
	})
	return names
}

// fileWords returns a value as the words of its flag.
func fileWords(v *yaml.Node, f *pflag.Flag) ([]string, error) {
	if v.Kind == yaml.AliasNode {
		v = v.Alias
	}
	_, isList := f.Value.(*listFlag)
	switch {
	case v.Kind == yaml.MappingNode && f.Name == "checks":
		text, err := yaml.Marshal(v)
		return []string{string(text)}, err
	case v.Kind == yaml.ScalarNode && v.Tag == "!!null":
		return nil, errors.New("it has no value: give it one, or remove the key")
	case v.Kind == yaml.ScalarNode:
		return []string{v.Value}, nil
	case v.Kind == yaml.SequenceNode && len(v.Content) == 0 && f.Name == "join":
		return []string{""}, nil // given, though empty: see [agent.Config]
	case v.Kind == yaml.SequenceNode && isList:
		return scalars(v.Content)
	case v.Kind == yaml.MappingNode && (f.Name == "tag" || f.Name == "on"):
		return pairs(v.Content, f.Name == "on")
	case isList:
		return nil, errors.New("want a list of words, or a single one")
	}
	return nil, errors.New("want a single value")
}

// pairs returns a map as KEY=VALUE words; several of a key when lists are allowed.
func pairs(nodes []*yaml.Node, lists bool) (words []string, err error) {
	for i := 0; i+1 < len(nodes); i += 2 {
		values := nodes[i+1 : i+2]
		if lists && values[0].Kind == yaml.SequenceNode {
			values = values[0].Content
		}
		all, err := scalars(append(nodes[i:i+1:i+1], values...))
		if err != nil {
			return nil, err
		}
		for _, v := range all[1:] {
			words = append(words, all[0]+"="+v)
		}
	}
	return words, nil
}

func scalars(nodes []*yaml.Node) (words []string, err error) {
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode {
			return nil, errors.New("want plain words in it")
		}
		words = append(words, n.Value)
	}
	return words, nil
}
