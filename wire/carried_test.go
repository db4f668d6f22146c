package wire

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"duckduckgoose/agent/election"
)

func TestIsCarriedKnowsEachFieldOfEachKind(t *testing.T) {
	for kind := election.PreVoteRequest; kind <= election.Announce; kind++ {
		var fill func(m *election.Message, v reflect.Value, name string)
		fill = func(m *election.Message, v reflect.Value, name string) {
			was := reflect.ValueOf(v.Interface())
			switch v.Kind() {
			case reflect.Struct:
				for i := range v.NumField() {
					fill(m, v.Field(i), name+"."+v.Type().Field(i).Name)
				}
				return
			case reflect.Array:
				for i := range v.Len() {
					fill(m, v.Index(i), name)
				}
				return
			case reflect.Bool:
				v.SetBool(true)
			case reflect.Int64:
				v.SetInt(1)
			default:
				v.SetUint(1)
			}
			require.Equal(t, carried(m) == *m, isCarried(m), "kind %d with %s", kind, name)
			v.Set(was)
		}
		m := &election.Message{Kind: kind}
		require.True(t, isCarried(m))
		v := reflect.ValueOf(m).Elem()
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; name != "Kind" {
				fill(m, v.Field(i), name)
			}
		}
	}
}
