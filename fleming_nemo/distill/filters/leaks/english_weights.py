"""Weights of English leak cues, over marked sentences (see `scored`)."""

import re

from fleming_nemo.distill.filters.leaks.scored import Weights

_KNOWN = (
    r"given|provided|supplied|stated|known|specified|disclosed|revealed|told|handed|marked|flagged|tagged|circled|"
    r"ticked|fixed|furnished|shared|announced|listed|indicated|established|confirmed|declared|quoted|prescribed|"
    r"communicated|included|attached|appended|written|printed|spelled out|enclosed|embedded|assigned|designated|fed|"
    r"credited|accepted|verified|official|reference|gold|expected|intended|required|requested|desired|demanded|"
    r"hidden|pre-?\w+ed|labell?ed|annotated|chosen|settled|agreed"
)
_NOUN = r"(?:answers?|options?|choices?|letters?|response|diagnosis|selection|pick|alternative|solution|output)"
_END = r"(?:conclusion|outcome|result|target|destination|verdict|output|choice|letter|ending|endpoint|end point|goal)"
_MAKE = (
    r"(?:construct|craft|build|supply|invent|find|assemble|fill in|provid|writ|produc|add|com(?:e|ing) up with|"
    r"suppl(?:y|ies)|reconstruct|retrac)\w*"
)
_ARGUMENT = (
    r"(?:logic|rationale|justification|reasoning|explanation|argument|steps|support\w*|case|evidence|path|story)"
)
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
        r"\b(?:finding|feature|symptom|sign|fact|clue)s? (?:indicated|given|stated|mentioned|listed|noted|shown)\b",
        r"\b(?:option|choice|candidate|finding|feature|symptom|fact|clue|information|detail|data|picture|figure|"
        r"frequenc)\w* (?:that (?:is|are|was|were) )?(?:given|provided|listed|stated|shown|supplied)\b",
        r"\b(?:given|provided|listed|stated|remaining|available|other|following|possible|answer|all|these|the|each|"
        r"wrong|incorrect) (?:answer )?(?:options|choices|candidates|findings|information|alternatives|answers)\b",
        rf"\b(?:to|and|must|can|will|now|by|before|then|let us|we|should|need to|have to) {_SEEK} "
        rf"(?:the |which |a |an |this |our )*(?:(?:correct|right|best|single|final|most|likely|true) )*"
        rf"(?:{_NOUN}|one|question)(?: is| are)?(?: (?:the )?(?:correct|right|best))?",
        r"\b(?:which|what|whether) (?:option|choice|answer|letter|one|of the \w+|of them)(?: is| could be| must be)?"
        r"(?: the)? (?:correct|right|best)?",
        r"\b(?:correct|right|final|best|true)? ?(?:answer|diagnosis|option|solution|choice) (?:must|has to|should|"
        r"would|"
        r"will|needs to|can|could|may|might|cannot)(?: \w+ly| therefore| also)? (?:be (?:a|an|one|in|among|found|able)"
        r"|explain|cover|account|include|share|lie|have|match|fit|satisfy|show|name|interact|cause|come|rest|depend)",
        r"\b(?:answer|solution|choice) (?:lies|hinges|depends|rests|turns|comes down|follows|requires|"
        r"to this puzzle)\b",
        r"\bknown (?:to|for|as|in|association|interaction|cause|gene|variant|mechanism|feature|record|frequenc|"
        r"from)\w*",
        r"\b(?:is|are|was) (?:known|recorded|listed|reported|expected|found|seen|described|noted) (?:to|in|for|with|"
        r"among)\b",
        r"\b(?:take|taking|assum\w+|suppos\w+|consider\w*|with) zright (?:as|to be|were)[^,;.]*"
        r"\b(?:hypothes|candidate|possib|idea|example|working)\w*",
        r"\bgold standard (?:for|in|of) (?:the )?(?:diagnos|test|treat|confirm)\w*",
        r"\b(?:working|reading|reasoning|going|starting) (?:backwards? )?from the (?:answer )?options\b",
        r"\b(?:in|of) (?:the|a|her|his) (?:right|left) \w+",
    ),
    alone=_all(
        r"\bback-?fill\w*|\bretro-?fit\w*|\breverse[- ]engineer\w*|\bpost[- ]?hoc\b|\bex post\b|\brationali[sz]\w+",
        r"\bpeek\w*|\bcheat\w*|\bspoil(?:er|ed)\b|\bleaked\b|\bcrib\b|\bpredetermined\b|\bpreordained\b|"
        r"\bpre-?filled\b",
        r"\b(?:answer|solution|marking|official) (?:key|sheet|field|book|scheme|guide|manual|column|line|slot|entry)\b",
        r"\b(?:ground[- ]truth|gold(?:en)? (?:label|answer|choice|option|letter|response))\b",
        r"\bpretend\w*|\bletting on\b|\bas (?:if|though) (?:i|we|one|it|this|zright)\b"
        r"[^.;]{0,20}\b(?:had|did|do|were|was|have|not|arriv\w*|reach\w*|found|deriv\w*|work\w*|solv\w*)\b",
        r"\bmak\w+ (?:it|this|that|zright) (?:look|seem|appear|sound)\b|\b(?:just|only|mere(?:ly)?|but) a formality\b",
        r"\b(?:rationale|justification|explanation|reasoning|logic|grounds) (?:for|of|behind|why|supporting) "
        r"(?:the |a |an |why |choosing |picking |selecting |option |choice |answer |letter |this |that |our )*"
        r"(?:zright|(?:correct|right|given|chosen|stated|final|selected)? ?(?:answer|option|choice|letter)\b)",
        r"\b(?:correct|right|true|accepted) (?:answer|option|choice|letter|response)\W{1,3}(?:given|known|provided|"
        r"stated|supplied|already|see)\b",
        r"\b(?:answer|option|choice|letter|zright)\W{1,3}\(?(?:correct|right|true|keyed|given|gold)\b\W{0,2}"
        r"(?:per|according|by|as)?",
        r"\b(?:if|had|were) (?:the )?(?:correct|right) (?:answer|option|choice) (?:were|was|had) not\b",
        r"\b(?:correct|right|accepted|credited|gold|expected|intended|target|final|required) "
        r"(?:answer|option|choice|letter|response|output)? ?(?:=|==|:=) ?zright",
        r"\b(?:target|expected|label|key|gold|truth|reference|y)\b ?(?:=|==|:) ?zright",
        r"\b(?:answer|solution|correct (?:option|choice|one)) being zright",
        r"^\W*supporting zright\b|\bassum\w+ (?:that )?(?:the )?(?:answer|option|choice)? ?zright is (?:right|"
        r"correct|the answer)",
        r"\b(?:considering|given|in view of|in light of) (?:the|our|this) (?:\w+ )?(?:answer|solution|result) zright",
        r"\bexplain(?:s|ing)? (?:the |our |this )?(?:\w+ )?(?:answer|correct (?:option|choice|one)|choice|solution|"
        r"label)\b",
        r"\b(?:the|answer|our) key (?:lists|says|has|gives|names|shows|reads|tells|states|specifies|is zright)\b",
        r"^\W*(?:as|per|following) (?:directed|instructed|ordered|commanded|told|requested|required|asked|"
        r"instructions?)\b",
        r"\b(?:reason|work|think|argu|trac|go|proceed|move)\w*(?: \w+)? (?:backwards?|back) from zright",
        r"\b(?:must|have to|need to|should|will) (?:make|get|let|have|bend|force) (?:\w+ ){1,3}(?:to )?(?:point|lead|"
        r"fit|agree|"
        r"converge|speak|look|favou?r|support)\b",
        r"\b(?:author|writer|setter|maker|creator|designer)s? of (?:the|this) (?:exam|question|test|quiz|item|problem)|"
        r"\b(?:question|exam|test|quiz|item|problem)(?:['’]s)? (?:writer|author|setter|maker|creator|designer)s?\b|"
        r"\b(?:look|glanc|peer|start|turn|jump|skip)\w* (?:ahead )?(?:at|to|with|from) the (?:answer|solution)\b"
        r"(?! (?:options?|choices?))",
        r"\b(?:comes?|came|arrives?) with (?:its|the|an?) (?:\w+ )?(?:solution|answer|key)\b|\bjustify\w* (?:the|"
        r"this|that) label",
        r"\bwhoever (?:wrote|made|set|chose|prepared)|\bno choice but to (?:end|conclude|choose|answer|pick|arrive|"
        r"land)",
        r"\bzright (?:is|was|has been|being) (?:chosen|picked|selected|validated|confirmed|established|verified|"
        r"approved|set|"
        r"checked|ticked|marked|fixed|specified|given) (?:as (?:the |being )?(?:correct|right|answer|solution)|by|"
        r"up front|for us"
        r"|beforehand|in advance)\b(?! (?:by )?(?:the )?(?:test|biopsy|assay|imaging|sequenc|echo))",
        r"\bnote (?:says |that |saying )+(?:that )?(?:zright|the answer)|\bbox (?:next to|beside|for|at) zright",
        r"\bfrom the (?:\w+ )?(?:solution|answer|key)\b(?! (?:options|choices))|\bworks? under the (?:premise|"
        r"assumption)\b",
        r"\bwhy (?:(?:is|was|it|would|should|must|might|then|the|answer|option|choice|be|has to|choose|pick|not) )*"
        r"zright ?(?:$|[?,;:.!])|\bwhy (?:would |is |was |must )?(?:the|this) (?:\w+ )?(?:answer|option|choice|"
        r"letter)\b"
        r"(?! (?:a|an|not|cannot|zother))",
        r"\b(?:so|such) that zright (?:\w+ )?(?:wins?|prevails?|comes?|results?|emerges?|follows?|is)\b|"
        r"^\W*(?:given|granted|with) zright\b(?! (?:is|has|the|as|in|at|on|being|there|would|this|all|findings))",
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
            r"\b(?:user|annotators?|graders?|examiners?|experts?|setters?|teacher|author|professor|curators?|"
            r"reviewers?|"
            r"raters?|solver|dataset|data set|metadata|(?:the|this|my|your|our|in|system) prompt|brief|instructions?|"
            r"rubric|answer key|"
            r"(?:exam|mark|score) ?sheet|test bank|hint(?! (?:is|at|of|towards?|to|that|lies)\b)|annotation|input|"
            r"context window|message|"
            r"somebody|someone|back of the book|official explanation|item comes|system (?:says|told|message)|"
            r"scored as|next to the question)\b"
        ): 3,
        re.compile(
            r"\b(?:they|you|he|she|somebody|someone|people)(?:['’]ve|['’]re)? (?:\w+ly |have |had |already |all |are |"
            r"also |just )*(?:say|said|tells?|told|gave|give|given|want\w*|expect\w*|look\w* for|need|mark\w*|chose|"
            r"includ\w*|suppl\w*|provid\w*|ask\w* for|after|show\w*|mention\w*|decid\w*|hand\w*|let)\b"
        ): 3,
        # Being told or bound: only right beside the answer or its option.
        re.compile(
            r"\b(?:i|we|me|us)\b(?:['’](?:m|re|ve|d))? ?(?:(?:am|are|was|were|have|had|been|already|just|now|also|"
            r"only|do|"
            r"of course|can) )*(?:told|informed|instructed|asked|handed|shown|constrained|required|obliged|forced|"
            r"supposed|expected|meant|requested|bound|given|assigned|fed|tasked|know|knew|learnt|learned|promised|"
            r"shown|see already|already see|assured|pointed out|notified|advised)\b(?! (?:that )?(?:the |two |three |"
            r"a |an |her |his |this )?"
            r"(?:patient|finding|child|disease|feature|gene|drug|two|both|case|record|zname|symptom|from))[^,;]{0,50}"
            r"(?:zright(?= ?(?:$|[,.;:!]|as\b|to be|(?:is|was) (?:the )?(?:right|correct|answer)))|\banswer|"
            r"\bsolution|\bcorrect\b|\bright\b|conclu|\bresult|\boutcome|\bletter)"
        ): 3,
        re.compile(
            rf"\b(?:{_KNOWN}) (?:\w+ ){{0,2}}?(?:answer|solution|option|choice|letter|response|outcome|conclusion|"
            rf"result|"
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
            r"\b(?:given(?! (?:the|that|this|these|those|his|her|how|its|all|such)\b)|provided|stated|specified|"
            r"written|known|indicated|included|determined|settled|fixed|listed|"
            r"attached|verified|confirmed|official\w*|reference|required|requested|demanded|demands|expected|intended|"
            r"declared|announced|established|chosen|set|agreed|shown|mentioned|reported|noted|"
            r"identified|decided|hidden|(?:shown|given) above|says|tells|said|reads|presupposed|granted|assumed)\b"
        ): 2,
        # Purpose: the reasoning is to serve the answer.
        re.compile(
            r"\b(?:goal|task|job|aim|mission|purpose|assignment|instructions|destination)\b(?! of\b)"
            r"[^.;]{0,40}(?:zright|\bright\b|\bcorrect\b)|\b(?:zright)\b[^.;]{0,20}\b(?:destination|target|endpoint|"
            r"goal)\b"
        ): 3,
        re.compile(
            r"\bjustif(?:y|ies|ied|ying)\b|\bvindicat\w+|\bnon-?negotiable\b|\bbe made (?:plausible|to fit)\b|"
            r"\b(?:build|aim|work|steer|head|write|argue|point|bend|read|reason|think|tailor|shape)\w*\b[^.;,]{0,20}"
            r"\b(?:toward|towards|at|to fit|to suit|to support|that way|accordingly)\b|\bfrom scratch\b|"
            r"\b(?:need|have) to (?:guess|solve|search|find out)\b|\bnothing to (?:find|work) out\b|"
            r"\bno (?:need|reason) to (?:guess|solve|weigh|search|look)\b|\bconnect\w* the dots\b|"
            r"\bmust (?:lead|end|finish|converge|arrive|output|print|return)\b|\b(?:have to|needs? to|"
            r"has to) (?:output|obtain|come to)\b|\b(?:has|have|needs?) to (?:lead|end|finish|converge|arrive)\b"
        ): 3,
        re.compile(
            rf"\b{_MAKE} (?:\w+ ){{0,3}}?{_ARGUMENT}\b|\b(?:explanation|rationale|argument|reasoning) (?:below|above|"
            r"must|has to|should|will|needs|can now|follows|runs|goes)\b|\bsupply the\b"
        ): 2,
        re.compile(
            r"\b(?:converge|end up|ends? (?:at|with|in|up)|land|arrive|aligned|align|compatible|consistent|agree|"
            r"agrees|"
            r"true to|stay true|faithful|in line|matches|match|accordance|conform\w*|lead there|lead to|leads to)\b"
        ): 1,
        # Time: before the evidence, or back from the end.
        re.compile(
            r"\b(?:already|beforehand|in advance|a priori|up ?front|from the (?:outset|start|beginning)|ahead of time|"
            r"in hindsight|with hindsight|benefit of|in hand|after the fact|bearing in mind|keeping in mind|now that|"
            r"retrac\w+|fill\w* in|start with the end|trac\w+ (?:back|the steps)|work\w* back\w*|start with the end|"
            r"before (?:looking|reading|starting|(?:we|i|anything|the) \w+))\b"
        ): 2,
        # A premise instead of a conclusion.
        re.compile(
            r"\b(?:since|because|as|given|knowing|considering|seeing|granted|with|now that|in view of) "
            r"(?:that |it |the |we |option |choice |letter |answer |have )*"
            r"(?:zright \(?(?:is|was|being|must be|has to be|ha[sd] been|to be)(?: \w+)? (?:\w+ )?(?:correct|right|"
            r"true|answer|"
            r"what|one|solution|accepted|expected)|(?:(?:correct|right) (?:answer|option|choice|one|letter)|answer)"
            r"[^,;.]{0,12}(?:is|was|being|must be|has to be|ha[sd] been)\b(?! (?:not|in|a|an|to)\b))"
            r"|\b(?:tak|treat|accept|regard|us)(?:e|ing|es)? (?:the )?(?:zright|correct (?:answer|option)|answer) as "
            r"(?:our|the|a given|correct|right|settled|fixed|granted|given|a starting|starting)\b"
            r"|\bwith zright (?:\w+ )?(?:as|settled|known|established|fixed|given|confirmed)\b(?! (?:the|a) (?:best|"
            r"most|likely))"
        ): 3,
    },
    clause=re.compile(
        r"[,;:—–]| - |\bwhich\b|\bso\b(?! (?:we|i) (?:were|was))|\bbut\b|\bhence\b|\bthus\b|\btherefore\b"
    ),
    person=re.compile(
        r"\b(?:i|me|my|mine|myself|we|us|our|you|your|they|them|somebody|someone|let['’]s|one is|role|duty)\b"
    ),
    looks=re.compile(
        r"\b(?:look|check|turn|consider|examin|evaluat|review|discuss|compar|think|thought|suspect|start|begin|"
        r"recall|weigh|"
        r"test|ask|verify|rule|exclud|conclu|leav|left|remain|arriv|therefore|thus|hence|so\b|find|found|see|seen|"
        r"fit|match|"
        r"feature|sign|record|picture|present|pattern|explain|consisten|agree|evidence|data|hypothes|candidate|"
        r"possib|likely|"
        r"could|might|may|would expect|suppose|imagine|assume|idea|chain|path|return|go back|move|now|next|first|"
        r"finally|"
        r"overall|backwards?|keep|kept|list|sure|point|confus|favou?r|know|distinguish|versus|add|note|mention|over|"
        r"toward)\w*"
    ),
    clinical=re.compile(
        r"\b(?:child|infan|adult|age[ds]?\b|arter|vessel|blood|treat|therap|drug|dose|clinic|criteri|fever|pain|rash|"
        r"cell|"
        r"enzym|protein|receptor|tissue|organ|heart|cardi|liver|hepat|kidney|renal|brain|neuro|nerv|muscle|bone|skin|"
        r"lung|"
        r"pulmon|symptom|disease|disorder|syndrome|gene|genet|variant|mutation|mechanism|inherit|phenotyp|patient|"
        r"histor|"
        r"cause|associat|risk|infect|inflamm|immun|hormon|metabol|deficien|toxic|acute|chronic|onset|sever|mild|"
        r"diagnostic|"
        r"biops|imag|serum|urine|level|elevat|increas|decreas|guideline|interact|affect|involv|complicat|surg|test|"
        r"exam\b)\w*"
    ),
)
