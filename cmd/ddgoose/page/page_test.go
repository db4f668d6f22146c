package page

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBarsAreDrawnAsHighAsTheyAre(t *testing.T) {
	svg := string(Bars("a < b", "ms", []Bar{{Value: 2, Title: "x > y", Edge: "1"}, {Edge: "2"}, {Value: 1, Edge: "3"}}))
	require.Contains(t, svg, `height="160.0"`)
	require.Contains(t, svg, `height="80.0"`)
	require.Equal(t, 2, strings.Count(svg, "<rect"), "nothing is drawn for nothing")
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); err != nil {
			require.ErrorIs(t, err, io.EOF, "it is well formed, whatever the texts")
			break
		}
	}
	require.NotContains(t, string(Bars("", "", nil)), "<rect")
}

func TestWhatIsNoMarkupIsEscaped(t *testing.T) {
	type name string
	var b Builder
	b.Printf(`<p title="%s">%5.1f%%%v %d %s`, name(`"a" & <b>`), 2.25, errors.New("<i>"), 3, HTML("<br>"))
	require.Equal(t, HTML(`<p title="&#34;a&#34; &amp; &lt;b&gt;">  2.2%&lt;i&gt; 3 <br>`), b.HTML())
}
