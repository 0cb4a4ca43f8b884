"""Pages of the allowed site: each tries one way to reach another host, or to get out of its window."""

from __future__ import annotations

from collections.abc import Mapping

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
    "link that tells where it was clicked": "document.body.innerHTML=\"<a href='#x' style='display:block;"
    f"height:100vh' ping='{_OUT}/ping' onclick='0'></a>\"",
    "another window": f"document.onclick=function(){{window.open('{_OUT}/window')}}",
    "form that sends itself": f"document.body.innerHTML=\"<form method=post action='{_OUT}/form'></form>\";"
    "document.forms[0].submit()",
    "WebRTC by a relay": "var p=new RTCPeerConnection({iceTransportPolicy:'relay',iceServers:[{urls:'turn:"
    + ADDRESS
    + ":8443?transport=tcp',username:'x',credential:'x'}]});"
    "p.createDataChannel('x');p.createOffer().then(function(o){p.setLocalDescription(o)})",
    "location that the site sends on": "location='/away'",
    "fetch that the site sends on": "fetch('/away',{mode:'no-cors'})",
    "frame by script": "var f=document.createElement('iframe');f.src='about:blank';"
    f"document.body.append(f);f.contentWindow.location='{_OUT}/frame'",
}
"""Name and script. A page whose script waits for a click is clicked."""
SECURE_SCRIPTS = {
    "WebTransport": f"new WebTransport('https://{OUTSIDE}:443/transport')",
    "service worker": "navigator.serviceWorker.register('/worker.js')",
}
"""The same, of what only pages with a certificate may do."""
HEADERS = {
    "preload": {"Link": f"<{_OUT}/link>; rel=preload; as=image"},
    "refresh": {"Refresh": f"0;url={_OUT}/header"},
    "what the page must not, reported": {
        "Content-Security-Policy": f"img-src 'none'; report-uri {_OUT}/report"
    },
}
"""Name and what the allowed site says besides its page."""

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
    "icon": f"<link rel=icon href='{_OUT}/icon.png'>",
    "picture of many sizes": f"<img srcset='{_OUT}/srcset 1x'>",
    "picture that is a button": f"<input type=image src='{_OUT}/button'>",
    "module ahead of time": f"<link rel=modulepreload href='{_OUT}/ahead.js'>",
    "subtitles": f"<video><track default kind=captions src='{_OUT}/track.vtt'></video>",
    "page ahead of time": "<script type=speculationrules>"
    f'{{"prefetch":[{{"source":"list","urls":["{_OUT}/speculation"]}}]}}</script>',
    "picture that the site sends on": "<img src=/away>",
    "frame that the site sends on": "<iframe src=/away></iframe>",
    "form that the site sends on": "<form action=/away></form><script>document.forms[0].submit()</script>",
    "picture in SVG": f"<svg><image href='{_OUT}/svg' width=9 height=9 /></svg>",
}
"""Name and markup."""

BROKEN = "Rotto"
"""The title of a page that has got what it must not have."""

_ASK = "document.documentElement.requestFullscreen()"
FULL_SCREEN = {
    "by the page": f"<script>document.onclick=function(){{{_ASK}}}</script>",
    "by the page, at a key": f"<script>document.onkeydown=function(){{{_ASK}}}</script>",
    "a part of the page": "<div style='height:90vh;background:#1e7d32'"
    " onclick='this.requestFullscreen()'></div>",
    "a film": "<video style='width:100vw;height:90vh;background:#1e7d32'"
    " onclick='this.requestFullscreen()'></video>",
    "a frame": "<iframe allow=fullscreen allowfullscreen style='width:100vw;height:90vh;border:0'"
    " srcdoc='<body style=margin:0;background:#1e7d32;height:100vh"
    " onclick=document.body.requestFullscreen()>'></iframe>",
}
"""Name and body. Clicked, and a key pressed."""

POPUPS = {
    "by itself": "<script>window.open('/opened','','width=300,height=200')</script>",
    "by itself, after a while": "<script>setTimeout(function(){window.open('/opened')},1500)</script>",
    "by a link that clicks itself": "<a href=/opened target=_blank></a>"
    "<script>document.links[0].click()</script>",
    "by a form that sends itself": "<form action=/opened target=_blank></form>"
    "<script>document.forms[0].submit()</script>",
    "from a frame": '<iframe srcdoc="<script>window.open(`/opened`)</script>"></iframe>',
    "the second by one click": "<script>document.onclick=function(){"
    "window.open('/start','a','width=300,height=200');"
    "window.open('/opened','b','width=300,height=200')}</script>",
}
"""Name and body: each opens /opened of the same site without being asked, or more than it was."""

PICKERS = {
    "a page picks a file": "showOpenFilePicker()",
    "a page picks a folder": "showDirectoryPicker()",
    "a page picks where to save": "showSaveFilePicker()",
}
SAVES = {
    "a page's own text": "URL.createObjectURL(new Blob(['testo di prova']))",
    "a page's own address": "'data:application/octet-stream,testo-di-prova'",
    "another page": "'/download/elenco.bin'",
}
"""What a link that saves leads to."""

_STATE = "navigator.permissions.query({{name:'{}'}}).then(p=>p.state!='denied')"
_ASKED = (  # refused at once, or a question on the screen that somebody may answer
    "Promise.race([{}.then(()=>true,()=>false),new Promise(r=>setTimeout(()=>r(true),2000))])"
)
CAPABILITIES = {
    **{
        name: _STATE.format(name)
        for name in (
            *("geolocation", "notifications", "camera", "microphone", "clipboard-read", "idle-detection"),
            *("window-management", "local-fonts", "accelerometer"),
        )
    },
    "a USB device": _ASKED.format("navigator.usb.requestDevice({filters:[]})"),
    "a keyboard or mouse of its own": _ASKED.format("navigator.hid.requestDevice({filters:[]})"),
    "a serial port": _ASKED.format("navigator.serial.requestPort()"),
    "a Bluetooth device": _ASKED.format("navigator.bluetooth.requestDevice({acceptAllDevices:true})"),
    "the screen": _ASKED.format("navigator.mediaDevices.getDisplayMedia()"),
}
"""Name and an expression: a promise of whether the page gets it, or may ask for it."""

_MAIL, _PROGRAM = "mailto:qualcuno@altrove.test", "tel:+390000000"
_LINK = "<a href='{}' style='display:block;height:100vh'></a>"
PROTOCOLS = {
    "a link to mail": _LINK.format(_MAIL),
    "a link to a telephone": _LINK.format(_PROGRAM),
    "a script that goes there": f"<script>document.onclick=function(){{location='{_PROGRAM}'}}</script>",
    "a frame that goes there": f"<script>document.onclick=function(){{var f=document.createElement('iframe');"
    f"f.src='{_PROGRAM}';document.body.append(f)}}</script>",
    "a window that goes there": f"<script>document.onclick=function(){{window.open('{_MAIL}')}}</script>",
    "a form that goes there": f"<form method=get action='{_MAIL}'>"
    "<button style='width:100vw;height:90vh'></button></form>",
    "a refresh": f"<meta http-equiv=refresh content='3;url={_PROGRAM}'>",
}

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
    "full": FULL_SCREEN["by the page"],
    "print": "<script>document.onclick=function(){print()}</script>",
    **{f"full/{slug(name)}": body for name, body in FULL_SCREEN.items()},
    **{f"popup/{slug(name)}": body for name, body in POPUPS.items()},
    **{f"protocol/{slug(name)}": body for name, body in PROTOCOLS.items()},
    **{
        f"picker/{slug(name)}": f"<script>document.onclick=()=>{text}</script>"
        for name, text in PICKERS.items()
    },
    **{
        f"save/{slug(name)}": "<script>document.onclick=()=>{var a=document.createElement('a');"
        f"a.href={text};a.download='salvato.bin';a.click()}}</script>"
        for name, text in SAVES.items()
    },
    **{
        f"ask/{slug(name)}": f"<script>document.onclick=()=>{{{text}"
        f".then(yes=>{{if(yes)document.title='{BROKEN}'}})}}</script>"
        for name, text in CAPABILITIES.items()
    },
    "file": _CHOOSER.format(""),
    "link": "<a href=/download/elenco.bin style='display:block;height:100vh'></a>",
    "picture": "<img src='data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA='"
    " style='width:100vw;height:100vh'>",
    "folder": _CHOOSER.format("webkitdirectory"),
    **{
        f"script/{slug(name)}": f"<script>{text}</script>"
        for name, text in (SCRIPTS | SECURE_SCRIPTS).items()
    },
    **{f"header/{slug(name)}": "<img src=/picture>" for name in HEADERS},
    **{f"markup/{slug(name)}": text for name, text in MARKUP.items()},
}


def title(name: str) -> str:
    """What the window of a page is called once it is there."""
    return f"Dentro {name}"


def _page(name: str, body: str, headers: Mapping[str, str] | None = None) -> Page:
    """A page in one plain colour that does one thing."""
    return (
        "text/html",
        headers or {},
        f"<!doctype html><html lang='it'><meta charset='utf-8'><title>{title(name)}</title>"
        f"<body style='margin:0;background:#1e7d32;height:100vh'>{body}</body></html>",
    )


_SAID = {f"header/{slug(name)}": said for name, said in HEADERS.items()}
PAGES: dict[str, Page] = {
    **{f"/{name}": _page(name, body, _SAID.get(name)) for name, body in _BODIES.items()},
    "/away": ("text/html", {"Location": f"{_OUT}/away"}, ""),
    "/worker.js": ("text/javascript", {}, f"fetch('{_OUT}/service',{{mode:'no-cors'}})"),
    **DOWNLOADS,
}
