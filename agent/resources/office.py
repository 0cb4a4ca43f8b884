"""The office programs that a session opens beside its browser: LibreOffice, as locked down as the browser is.

One file of settings that only root writes and no user's own overrides
(finalized): no macros, no scripts, nothing that a document loads from elsewhere
or starts, no extensions, no connections to servers or databases, no settings.
An address in a document opens in the session's own browser (agent/helpers/programs.py),
whose lists decide. A program opened so can do no more than the browser: it runs
in the same unit, as the same user.
"""

from agent.core.changes import Change, Effect, Owned, Plan, Reader
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Language, Program, Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "office"
SETTINGS = "/etc/libreoffice/registry/zz-lab.xcd"
PROGRAMS: dict[Program, tuple[str, str]] = {
    "writer": ("/usr/bin/lowriter", "libreoffice-writer"),
    "calc": ("/usr/bin/localc", "libreoffice-calc"),
    "impress": ("/usr/bin/loimpress", "libreoffice-impress"),
}
"""What is there when a program is, and Debian's package that brings it."""

FOLDER = "/home/kiosk/Downloads"
"""Where documents are opened from and saved to; of the session's unit."""

WORDS = "/usr/lib/libreoffice/program/resource"
"""A folder for each language that the programs speak beside English."""

_OUT = sentence("the lab no longer opens office programs here")


class Observed(Message, frozen=True):
    """The settings, and the packages that are not there."""

    files: Found
    lacking: tuple[str, ...] = ()


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while no program is wanted."""
    programs, language = _wanted(wanted)
    lacking = [package for path, package in map(PROGRAMS.__getitem__, programs) if not reader.program(path)]
    if programs and not lacking and language != "en" and language not in (reader.names(WORDS) or (language,)):
        lacking.append(f"libreoffice-l10n-{language}")
    return Observed(observe_files((SETTINGS,), owned, reader), tuple(lacking))


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The settings; a program that is not installed is told, and the rest of the PC is offered without it."""
    planner = FilePlanner(NAME, observed.files, owned)
    if not _wanted(wanted)[0]:
        return (*planner.release(SETTINGS, Effect.NEUTRAL, _OUT), *planner.tidy(()))
    lacking = (
        Change(
            kind=NAME,
            subject=package,
            effect=Effect.NEUTRAL,
            why=sentence("it is not installed: apt install {package}", package=package),
            actions=(),
            advice=True,
        )
        for package in observed.lacking
    )
    wish = FileWish(path=SETTINGS, content=settings().encode())
    return (*planner.put(wish, Effect.TIGHTEN), *lacking, *planner.tidy((SETTINGS,)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The settings, and the programs: one that is installed is seen at once."""
    programs, _language = _wanted(wanted)
    return (SETTINGS, *(PROGRAMS[program][0] for program in programs)) if programs else ()


def _wanted(wanted: Resources) -> tuple[tuple[Program, ...], Language]:
    session = wanted.session
    return ((), "it") if session is None else (session.programs, session.language)


_CLOSED: dict[str, dict[str, str]] = {
    # No macro runs, signed or not, and no event of a document starts one.
    "Common/Security/Scripting": {
        "MacroSecurityLevel": "3",
        "DisableMacrosExecution": "true",
        "CheckDocumentEvents": "true",
        "SecureURL": "",
        "BlockUntrustedRefererLinks": "true",
        "HyperlinksWithCtrlClick": "true",
        # These two from LibreOffice 24 on; an older one passes over what it does not know.
        "DisableActiveContent": "true",
        "DisablePythonRuntime": "true",
    },
    "Common/Security": {"EnableExpertConfiguration": "false"},
    "Java/VirtualMachine": {"Enable": "false"},
    "ExtensionManager/ExtensionSecurity": {
        "DisableExtensionInstallation": "true",
        "DisableExtensionRemoval": "true",
    },
    # What a document links to is not fetched: these two count differently.
    "Writer/Content/Update": {"Link": "0"},
    "Calc/Content/Update": {"Link": "1"},
}
"""By path below org.openoffice.Office: names and values, all of which nobody may change."""

_QUIET: dict[str, dict[str, str]] = {
    # LibreOffice's own file dialogue wherever it runs; no first questions, no tips, no report of a crash.
    "Common/Misc": {
        "UseSystemFileDialog": "false",
        "FirstRun": "false",
        "ShowTipOfTheDay": "false",
        "CrashReport": "false",
        "OfferSafeMode": "false",
        "ShowDonation": "false",
    },
    "UI.Infobar/Enabled": {"WhatsNew": "false", "Donate": "false", "GetInvolved": "false"},
}
"""The same, where LibreOffice itself writes meanwhile: it ends where it may not (seen with 7.4)."""

# Macros, scripts; what starts or loads something else; servers, mail, databases; settings; pages of the web.
_COMMANDS = """
    MacroDialog MacroManager MacroOrganizer ScriptOrganizer RunMacro RunBasic BasicIDEAppear MacroRecorder
    MacroSignature ChooseMacro ExecuteMacroField InspectSelectedObject OpenXMLFilterSettings
    InsertObject InsertObjectFloatingFrame EditLinks ManageLinks
    InsertExternalDataSource ManageXMLSource DataProvider DataProviderRefresh
    OpenRemote SaveAsRemote CheckOut CheckIn SendMail SendMailDocAsPDF SendMailDocAsMS SendMailDocAsOOo
    SendFax SendViaBluetooth MailMergeWizard ViewDataSourceBrowser DSBInsertColumns AddressBookSource
    AutoPilotAddressDataSource ChangeDatabaseField
    OptionsTreeDialog ConfigureDialog AdditionsDialog SafeMode
    HelpIndex QuestionAnswers SendFeedback Documentation ShowLicense WhatsNew GetInvolved Donation TipOfTheDay
"""
"""Commands that do nothing and whose menus and keys are grey."""


def settings() -> str:
    """LibreOffice's own format (oor), read after its own settings and before any user's."""
    parts = [_component(path, values, final=True) for path, values in _CLOSED.items()]
    parts += [_component(path, values, final=False) for path, values in _QUIET.items()]
    commands = "".join(
        f'<node oor:name="{name}" oor:op="replace" oor:finalized="true">{_property("Command", name)}</node>'
        for name in _COMMANDS.split()
    )
    parts.append(
        '<oor:component-data oor:name="Commands" oor:package="org.openoffice.Office">'
        f'<node oor:name="Execute"><node oor:name="Disabled">{commands}</node></node></oor:component-data>'
    )
    # Where documents are kept, with what the browser loads down: XDG's place for them is a stick's here.
    parts.append(
        '<oor:component-data oor:name="Paths" oor:package="org.openoffice.Office">'
        f'<node oor:name="Variables">{_property("Work", f"file://{FOLDER}")}</node></oor:component-data>'
    )
    whole = "\n".join(parts)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by lab-agent; what is changed here is put back. -->
<oor:data xmlns:oor="http://openoffice.org/2001/registry" xmlns:xs="http://www.w3.org/2001/XMLSchema">
<dependency file="main"/>
{whole}
</oor:data>
"""


def _component(path: str, values: dict[str, str], *, final: bool) -> str:
    name, *nodes = path.split("/")
    package, _, name = f"org.openoffice.Office.{name}".rpartition(".")
    inside = "".join(_property(key, value, final=final) for key, value in values.items())
    for node in reversed(nodes):
        inside = f'<node oor:name="{node}">{inside}</node>'
    return f'<oor:component-data oor:name="{name}" oor:package="{package}">{inside}</oor:component-data>'


def _property(name: str, value: str, *, final: bool = True) -> str:
    told = f"<value>{value}</value>" if value else "<value/>"
    closed = ' oor:finalized="true"' if final else ""
    return f'<prop oor:name="{name}"{closed}>{told}</prop>'
