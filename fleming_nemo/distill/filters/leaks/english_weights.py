"""Weights of English leak cues, over marked sentences (see `scored`)."""

import re

from fleming_nemo.distill.filters.leaks.scored import Weights

_KNOWN = (
    r"given|provided|supplied|stated|known|specified|disclosed|revealed|told|handed|marked|flagged|tagged|circled|"
    r"ticked|fixed|furnished|shared|announced|listed|indicated|established|confirmed|declared|quoted|prescribed|"
    r"communicated|included|attached|appended|written|printed|spelled out|enclosed|embedded|assigned|designated|fed|"
    r"credited|accepted|verified|official|reference|gold|expected|intended|required|requested|desired|demanded|"
    r"hidden|pre-?\w+ed|labell?ed|annotated|chosen|settled|agreed|correct"
)
_NOUN = r"(?:answers?|options?|choices?|letters?|response|diagnosis|selection|pick|alternative|solution|output)"
_END = r"(?:conclusion|outcome|result|target|destination|verdict|output|choice|letter|ending|endpoint|end point|goal)"
_MAKE = (
    r"(?:construct|craft|build|supply|invent|find|assemble|fill in|provid|writ|produc|add|com(?:e|ing) up with|"
    r"suppl(?:y|ies)|reconstruct|retrac)\w*"
)
_ARGUMENT = r"(?:logic|rationale|justification|reasoning|explanation|argument|steps|support\w*|case|evidence|path|story)"
_SEEK = (
    r"(?:find|finding|determine|determining|identify|identifying|decide|choose|choosing|select|selecting|pick|picking|"
    r"answer|reach|see|work out|establish|look for|narrow\w* down|get to|arrive at|settle on|consider)"
)


def _all(*patterns: str) -> list[re.Pattern[str]]:
    return [re.compile(pattern) for pattern in patterns]


WEIGHTS = Weights(
    harmless=_all(
        r"\bgiven (?:that )?(?:the |these |this |those |his |her |its |all |both |such |a |an )*"
        r"(?:\w+ )?(?:finding|histor|information|feature|symptom|sign|option|picture|presentation|combination|data|"
        r"evidence|clue|phenotype|case|patient|results|age|pattern|mechanism|record|zname|absen|presen)\w*",
        r"\b(?:option|choice|candidate|finding|feature|symptom|fact|clue|information|detail|data|picture|figure|"
        r"frequenc)\w* (?:that (?:is|are|was|were) )?(?:given|provided|listed|stated|shown|supplied)\b",
        r"\b(?:given|provided|listed|stated|remaining|available|other|following|possible|answer|all|these|the|each|"
        r"wrong|incorrect) (?:answer )?(?:options|choices|candidates|findings|information|alternatives|answers)\b",
        rf"\b(?:to|and|must|can|will|now|by|before|then|let us|we|should|need to|have to) {_SEEK} "
        rf"(?:the |which |a |an |this |our )*(?:(?:correct|right|best|single|final|most|likely|true) )*"
        rf"(?:{_NOUN}|one|question)(?: is| are)?(?: (?:the )?(?:correct|right|best))?",
        r"\b(?:which|what|whether) (?:option|choice|answer|letter|one|of the \w+|of them)(?: is| could be| must be)?"
        r"(?: the)? (?:correct|right|best)?",
        r"\b(?:correct|right|final|best|true)? ?(?:answer|diagnosis|option|solution|choice) (?:must|has to|should|would|"
        r"will|needs to|can|could|may|might|cannot)(?: \w+ly| therefore| also)? (?:be (?:a|an|one|in|among|found|able)"
        r"|explain|cover|account|include|share|lie|have|match|fit|satisfy|show|name|interact|cause|come|rest|depend)",
        r"\b(?:answer|solution|choice) (?:lies|hinges|depends|rests|turns|comes down|follows|requires|to this puzzle)\b",
        r"\bknown (?:to|for|as|in|association|interaction|cause|gene|variant|mechanism|feature|record|frequenc|from)\w*",
        r"\b(?:is|are|was) (?:known|recorded|listed|reported|expected|found|seen|described|noted) (?:to|in|for|with|among)\b",
        r"\b(?:take|taking|assum\w+|suppos\w+|consider\w*|with) zright (?:as|to be|were)[^,;.]*"
        r"\b(?:hypothes|candidate|possib|idea|example|working)\w*",
        r"\bgold standard (?:for|in|of) (?:the )?(?:diagnos|test|treat|confirm)\w*",
        r"\b(?:working|reading|reasoning|going|starting) (?:backwards? )?from the (?:answer )?options\b",
        r"\b(?:in|of) (?:the|a|her|his) (?:right|left) \w+",
    ),
    alone=_all(
        r"\bback-?fill\w*|\bretro-?fit\w*|\breverse[- ]engineer\w*|\bpost[- ]?hoc\b|\bex post\b|\brationali[sz]\w+",
        r"\bpeek\w*|\bcheat\w*|\bspoil(?:er|ed)\b|\bleaked\b|\bcrib\b|\bpredetermined\b|\bpreordained\b|\bpre-?filled\b",
        r"\b(?:answer|solution|marking|official) (?:key|sheet|field|book|scheme|guide|manual|column|line|slot|entry)\b",
        r"\b(?:ground[- ]truth|gold(?:en)? (?:label|answer|choice|option|letter|response))\b",
        r"\bpretend\w*|\bletting on\b|\bas (?:if|though) (?:i|we|one|it|this|zright)\b"
        r"[^.;]{0,20}\b(?:had|did|do|were|was|have|not|arriv\w*|reach\w*|found|deriv\w*|work\w*|solv\w*)\b",
        r"\bmak\w+ (?:it|this|that|zright) (?:look|seem|appear|sound)\b|\b(?:just|only|mere(?:ly)?|but) a formality\b",
        rf"\b(?:rationale|justification|explanation|reasoning|logic|grounds) (?:for|of|behind|why|supporting) "
        rf"(?:the |a |an |why |choosing |picking |selecting |option |choice |answer |letter |this |that |our )*"
        rf"(?:zright|(?:correct|right|given|chosen|stated|final|selected)? ?(?:answer|option|choice|letter)\b)",
        r"\b(?:correct|right|true|accepted) (?:answer|option|choice|letter|response)\W{1,3}(?:given|known|provided|"
        r"stated|supplied|already|see)\b",
        r"\b(?:answer|option|choice|letter|zright)\W{1,3}\(?(?:correct|right|true|keyed|given|gold)\b\W{0,2}"
        r"(?:per|according|by|as)?",
        r"\b(?:if|had|were) (?:the )?(?:correct|right) (?:answer|option|choice) (?:were|was|had) not\b",
        r"\b(?:correct|right|accepted|credited|gold|expected|intended|target|final|required) "
        r"(?:answer|option|choice|letter|response|output)? ?(?:=|==|:=) ?zright",
        r"\b(?:target|expected|label|key|gold|truth|reference|y)\b ?(?:=|==|:) ?zright",
        r"\b(?:answer|solution|correct (?:option|choice|one)) being zright",
        r"^\W*(?:given|reference|provided|target|stated|known|expected) (?:answer|solution|option|choice|result|"
        r"conclusion|letter)\b",
        r"\b(?:whatever|regardless|no matter|irrespective)\b[^.;]*\b(?:must|needs?|has|have|should)\b[^.;]*"
        r"\b(?:zright|answer|conclu\w+|output)\b",
        r"\b(?:explain|show|demonstrat|clarif|argu|prov|establish|defend|support|illustrat)\w*[^.;,]{0,30}"
        r"\b(?:why|that|how|for) (?:it (?:is|was|has to be|must be) |the |answer |option )*zright "
        r"(?:is|was|must be|has to be|being|should be|would be|comes? out)(?: (?:the |in fact |indeed |actually )*"
        r"(?:right|correct|true|answer|best|chosen|accepted|valid|what|one))",
    ),
    topics={
        re.compile(
            r"\banswers?\b(?! (?:options?|choices?)\b)|\bsolution\b(?! (?:of|in which|is hyper|is hypo))|"
            r"\b(?:correct|right|gold|keyed|credited|accepted|winning|official|designated|true|final|stated|intended|"
            r"expected|supposed|chosen|best|stipulated) (?:option|choice|letter|one|response|selection|pick|"
            r"alternative|item|output|word)\b|"
            r"\bzright (?:is|was|were|being|as|to be|has been|must be|ha[sd] to be)(?: indeed| in fact| really| the|"
            r" what| simply)* (?:correct|right|true|one|they|credited|accepted|keyed|expected|intended|wanted|we|i)\b|"
            r"\b(?:correct|right)\W{1,3}zright\b"
        ): 2,
        re.compile(
            rf"\b{_END}\b|\bfinal (?:line|word|step|result)\b|\bdiagnosis is zright|"
            r"\bcorrect diagnosis\b|\bthe (?:key|label|end)\b(?! (?:finding|feature|to the|point|step|sign|clue))"
        ): 1,
    },
    cues={
        # Persons and papers around the task, wherever the answer or its option is near.
        re.compile(
            r"\b(?:user|annotators?|graders?|examiners?|experts?|setters?|teacher|author|professor|curators?|reviewers?|"
            r"raters?|markers?|solver|dataset|data set|database|metadata|prompt|brief|instructions?|rubric|answer key|"
            r"(?:exam|mark|score) ?sheet|test bank|textbook|hint|annotation|input|context window|message|request|"
            r"somebody|someone|back of the book|official explanation|item comes|system)\b(?! (?:onset|recognition))"
        ): 3,
        re.compile(
            r"\b(?:they|you|he|she|somebody|someone|people)(?:['’]ve|['’]re)? (?:\w+ly |have |had |already |all |are |"
            r"also |just )*(?:say|said|tells?|told|gave|give|given|want\w*|expect\w*|look\w* for|need|mark\w*|chose|"
            r"includ\w*|suppl\w*|provid\w*|ask\w* for|after|show\w*|mention\w*|decid\w*|hand\w*|let)\b"
        ): 3,
        # Being told or bound: only right beside the answer or its option.
        re.compile(
            r"\b(?:i|we|me|us)\b(?:['’](?:m|re|ve|d))? ?(?:(?:am|are|was|were|have|had|been|already|just|now|also|only|do|"
            r"of course|can) )*(?:told|informed|instructed|asked|handed|shown|constrained|required|obliged|forced|"
            r"supposed|expected|meant|requested|bound|given|assigned|fed|tasked|know|knew|learnt|learned|promised|"
            r"shown|see already|already see|assured)\b(?! (?:that )?(?:the |two |three |a |an |her |his |this )?"
            r"(?:patient|finding|child|disease|feature|gene|drug|two|both|case|record|zname|symptom|from))[^,;]{0,50}"
            r"(?:zright|\banswer|\bsolution|\bcorrect\b|\bright\b|conclu|\bresult|\boutcome|\bletter)"
        ): 3,
        re.compile(
            rf"\b(?:{_KNOWN}) (?:\w+ ){{0,2}}?(?:answer|solution|option|choice|letter|response|outcome|conclusion|result|"
            r"diagnosis|target|output|selection|pick|verdict|explanation)\b(?! (?:options|choices))"
        ): 1,
        re.compile(
            r"\b(?:told|handed|supplied|disclosed|revealed|furnished|imposed|"
            r"mandated|designated|label\w*ed|tagged|flagged|credited|accepted as)\b"
        ): 2,
        re.compile(
            r"\b(?:dictated|leaked|divulged|stipulated|decreed|pre-?(?:set|select\w*|assign\w*|defined|decided|chosen)|"
            r"keyed|ticked|circled|marked (?:as )?(?:right|correct|true|the answer)|on (?:good |the )?authority|"
            r"gold standard)\b|\bhow (?:do|does|did|can|could|would|might) (?:we|one|i|you|an? \w+) (?:get|arrive|come|"
            r"end up|land)\b"
        ): 3,
        re.compile(
            r"\b(?:given|provided|stated|specified|written|known|indicated|included|determined|settled|fixed|listed|"
            r"attached|verified|confirmed|official\w*|reference|required|requested|demanded|demands|expected|intended|"
            r"declared|announced|established|chosen|set|agreed|shown|mentioned|reported|noted|"
            r"identified|decided|hidden|(?:shown|given) above|says|tells|said|reads|presupposed|granted|assumed)\b"
        ): 2,
        # Purpose: the reasoning is to serve the answer.
        re.compile(
            r"\b(?:goal|task|job|aim|mission|purpose|objective|assignment|instructions|destination|target|endpoint)\b"
            r"[^.;]{0,40}(?:zright|\bright\b|\bcorrect\b)|\b(?:zright)\b[^.;]{0,20}\b(?:destination|target|endpoint|goal)\b"
        ): 3,
        re.compile(
            r"\bjustif(?:y|ies|ied|ying)\b|\bvindicat\w+|\bnon-?negotiable\b|\bbe made (?:plausible|to fit)\b|"
            r"\b(?:build|aim|work|steer|head|write|argue|point|bend|read|reason|think|tailor|shape)\w*\b[^.;,]{0,20}"
            r"\b(?:toward|towards|at|to fit|to suit|to support|that way|accordingly)\b|\bfrom scratch\b|"
            r"\b(?:need|have) to (?:guess|solve|search|find out)\b|\bnothing to (?:find|work) out\b|"
            r"\bno (?:need|reason) to (?:guess|solve|weigh|search|look)\b|\bconnect\w* the dots\b|"
            r"\bmust (?:lead|end|finish|converge|arrive)\b|\b(?:has|have|needs?) to (?:lead|end|finish|converge|arrive)\b"
        ): 3,
        re.compile(rf"\b{_MAKE} (?:\w+ ){{0,3}}?{_ARGUMENT}\b|\b(?:explanation|rationale|argument|reasoning) (?:below|above|"
                   r"must|has to|should|will|needs|can now|follows|runs|goes)\b|\bsupply the\b"): 2,
        re.compile(
            r"\b(?:converge|end up|ends? (?:at|with|in|up)|land|arrive|aligned|align|compatible|consistent|agree|agrees|"
            r"true to|stay true|faithful|in line|matches|match|accordance|conform\w*|lead there|lead to|leads to)\b"
        ): 1,
        # Time: before the evidence, or back from the end.
        re.compile(
            r"\b(?:already|beforehand|in advance|a priori|up ?front|from the (?:outset|start|beginning)|ahead of time|"
            r"in hindsight|with hindsight|benefit of|in hand|after the fact|bearing in mind|keeping in mind|now that|"
            r"retrac\w+|trac\w+ (?:back|the steps)|work\w* back\w*|start with the end|before (?:looking|reading|starting))\b"
        ): 2,
        # A premise instead of a conclusion.
        re.compile(
            r"(?:\b(?:since|because|as|given|knowing|considering|seeing|granted|assum(?:e|ing)|suppos(?:e|ing)|with|"
            r"taking|take|treat\w*|accept\w*|once|if) (?:that |it |the |we |option |choice |letter |answer |as )*"
            r"(?:zright|(?:correct|right) (?:answer|option|choice|one|letter)|answer)(?: |\b))"
            r"(?:\(?zright\)? )?(?:is|was|being|as|must be|has to be|ha[sd] been|to be)(?! not)"
        ): 3,
    },
    clause=re.compile(r"[,;:—–]| - |\bwhich\b|\bso\b(?! (?:we|i) (?:were|was))|\bbut\b|\bhence\b|\bthus\b|\btherefore\b"),
)
