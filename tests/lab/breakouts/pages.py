"""Pages of the allowed site: each tries one way to reach another host, or to get out of its window."""

from __future__ import annotations

from tests.lab.breakouts.world import ADDRESS, OUTSIDE, Page

_OUT = f"http://{OUTSIDE}"

SCRIPTS = {
    "fetch": f"fetch('{_OUT}/fetch',{{mode:'no-cors'}})",
    "fetch with keepalive": f"fetch('{_OUT}/keepalive',{{mode:'no-cors',keepalive:true,method:'POST'}})",
    "XMLHttpRequest": f"var r=new XMLHttpRequest();r.open('GET','{_OUT}/xhr');r.send()",
    "beacon": f"navigator.sendBeacon('{_OUT}/beacon','x')",
    "WebSocket": f"new WebSocket('ws://{OUTSIDE}/socket')",
    "WebSocket to another port": f"new WebSocket('ws://{OUTSIDE}:8080/socket')",
    "EventSource": f"new EventSource('{_OUT}/events')",
    "image": f"new Image().src='{_OUT}/image'",
    "worker": f"new Worker(URL.createObjectURL(new Blob([\"fetch('{_OUT}/worker',{{mode:'no-cors'}})\"])))",
    "shared worker": "new SharedWorker(URL.createObjectURL(new Blob("
    f"[\"fetch('{_OUT}/shared',{{mode:'no-cors'}})\"])))",
    "dynamic import": f"import('{_OUT}/module.js').catch(function(){{}})",
    "font": f"new FontFace('f','url({_OUT}/font)').load()",
    "audio": f"new Audio('{_OUT}/audio').load()",
    "WebRTC": "var p=new RTCPeerConnection({iceServers:[{urls:'stun:" + ADDRESS + ":3478'}]});"
    "p.createDataChannel('x');p.createOffer().then(function(o){p.setLocalDescription(o)})",
    "location": f"location='{_OUT}/location'",
    "another window": f"document.onclick=function(){{window.open('{_OUT}/window')}}",
    "form that sends itself": f"document.body.innerHTML=\"<form method=post action='{_OUT}/form'></form>\";"
    "document.forms[0].submit()",
    "frame by script": "var f=document.createElement('iframe');f.src='about:blank';"
    f"document.body.append(f);f.contentWindow.location='{_OUT}/frame'",
}
"""Name and script. A page whose script waits for a click is clicked."""

MARKUP = {
    "frame": f"<iframe src='{_OUT}/iframe'></iframe>",
    "frame in a sandbox": f"<iframe sandbox='allow-scripts' src='{_OUT}/sandbox'></iframe>",
    "object": f"<object data='{_OUT}/object'></object>",
    "embed": f"<embed src='{_OUT}/embed'>",
    "script": f"<script src='{_OUT}/script.js'></script>",
    "style sheet": f"<link rel=stylesheet href='{_OUT}/style.css'>",
    "style's import": f"<style>@import url({_OUT}/import.css);</style>",
    "style's picture": f'<div style="background:url({_OUT}/background);height:9px"></div>',
    "video's poster": f"<video poster='{_OUT}/poster'></video>",
    "refresh": f"<meta http-equiv=refresh content='0;url={_OUT}/refresh'>",
    "prefetch": f"<link rel=prefetch href='{_OUT}/prefetch'>",
    "preload": f"<link rel=preload as=image href='{_OUT}/preload'>",
    "preconnect": f"<link rel=preconnect href='http://{OUTSIDE}:8080'>",
    "picture in SVG": f"<svg><image href='{_OUT}/svg' width=9 height=9 /></svg>",
}
"""Name and markup."""

FULL_SCREEN = "document.onclick=function(){document.documentElement.requestFullscreen()}"

DOWNLOADS: dict[str, Page] = {
    "/download/elenco.bin": ("application/octet-stream", {"Content-Disposition": "attachment"}, "x" * 9),
    "/download/documento.html": ("text/html", {"Content-Disposition": "attachment"}, "<p>x"),
    "/download/programma.sh": ("text/x-sh", {"Content-Disposition": "attachment"}, "echo x"),
    "/download/avvio.desktop": ("application/x-desktop", {}, "[Desktop Entry]\nType=Application\n"),
    "/download/foglio.csv": ("text/csv", {"Content-Disposition": "attachment"}, "a;b"),
}


def slug(name: str) -> str:
    """A name as part of an address."""
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


_CHOOSER = "<input type=file {0} style='width:100vw;height:100vh;display:block'>"
_BODIES = {
    "start": "",
    "full": f"<script>{FULL_SCREEN}</script>",
    "file": _CHOOSER.format(""),
    "folder": _CHOOSER.format("webkitdirectory"),
    **{f"script/{slug(name)}": f"<script>{text}</script>" for name, text in SCRIPTS.items()},
    **{f"markup/{slug(name)}": text for name, text in MARKUP.items()},
}


def title(name: str) -> str:
    """What the window of a page is called once it is there."""
    return f"Dentro {name}"


def _page(name: str, body: str) -> Page:
    """A page in one plain colour that does one thing."""
    return (
        "text/html",
        {},
        f"<!doctype html><html lang='it'><meta charset='utf-8'><title>{title(name)}</title>"
        f"<body style='margin:0;background:#1e7d32;height:100vh'>{body}</body></html>",
    )


PAGES: dict[str, Page] = {
    **{f"/{name}": _page(name, body) for name, body in _BODIES.items()},
    **DOWNLOADS,
}
