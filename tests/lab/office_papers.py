"""Documents that try to get more than words onto the screen, as LibreOffice reads them (flat ODF)."""

from __future__ import annotations

_SPACES = " ".join(
    f'xmlns:{name}="{space}"'
    for name, space in {
        "office": "urn:oasis:names:tc:opendocument:xmlns:office:1.0",
        "text": "urn:oasis:names:tc:opendocument:xmlns:text:1.0",
        "draw": "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0",
        "svg": "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0",
        "script": "urn:oasis:names:tc:opendocument:xmlns:script:1.0",
        "ooo": "http://openoffice.org/2004/office",
        "dom": "http://www.w3.org/2001/xml-events",
        "xlink": "http://www.w3.org/1999/xlink",
    }.items()
)
_BASIC = "vnd.sun.star.script:Standard.Prova.Main?language=Basic&amp;location=document"

ANYTHING_GOES = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>0</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>false</value></prop></item>
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>false</value></prop></item>
</oor:items>
"""
"""A user's own settings (registrymodifications.xcu) that open everything."""

NO_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:data xmlns:oor="http://openoffice.org/2001/registry"><dependency file="main"/></oor:data>
"""
"""In the place of the lab's settings, for a control."""


def paper(body: str, head: str = "") -> str:
    """A text document."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<office:document {_SPACES} office:version="1.2" '
        f'office:mimetype="application/vnd.oasis.opendocument.text">{head}'
        f"<office:body><office:text>{body}</office:text></office:body></office:document>\n"
    )


def with_macro(mark: str) -> str:
    """Runs a program as it is opened, which leaves a file `mark`."""
    code = f'Sub Main\nShell("/usr/bin/touch", 0, "{mark}", True)\nEnd Sub'
    return paper(
        "<text:p>Prova</text:p>",
        '<office:scripts><office:script script:language="ooo:Basic"><ooo:libraries>'
        '<ooo:library-embedded ooo:name="Standard"><ooo:module ooo:name="Prova">'
        f"<ooo:source-code>{code}</ooo:source-code></ooo:module></ooo:library-embedded></ooo:libraries>"
        '</office:script><office:event-listeners><script:event-listener script:language="ooo:script" '
        f'script:event-name="dom:load" xlink:href="{_BASIC}" xlink:type="simple"/></office:event-listeners>'
        "</office:scripts>",
    )


def with_picture(url: str) -> str:
    """Shows a picture that is kept elsewhere."""
    frame = '<draw:frame text:anchor-type="paragraph" svg:width="5cm" svg:height="5cm">'
    image = f'<draw:image xlink:href="{url}" xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/>'
    return paper(f"<text:p>{frame}{image}</draw:frame>Prova</text:p>")
