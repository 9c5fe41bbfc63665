"""Leak cues of English, over folded text in which the names of the item are blanked."""

import re

_WORDS = r"(?:\W+[\w'’]+){0,%d}?\W+"
_LETTER = r"(?:(?:option|choice|letter|answer)\s+)?\(?[a-z]\)?"
_RIGHT = r"(?:correct|right|true|proper|final|best|accurate|actual|single|official)"
_ANSWER = (
    rf"(?:(?:{_RIGHT}\W+){{0,2}}(?:answers?\b(?!\s+(?:options?|choices?)\b)|solution\b|label\b|ground[- ]truth)"
    r"|(?:correct|right|keyed|winning) (?:options?|choices?|letters?|ones?|response|diagnosis|selection|pick|alternative)\b)"
)
_GIVEN = (
    r"(?:given|provided|supplied|stated|known|specified|indicated|reference|gold(?:en)?|marked|label+ed|annotated|designated|"
    r"expected|intended|target|disclosed|revealed|keyed|predetermined|pre-?(?:set|specified|selected|assigned|defined)|listed|"
    r"published|model|standard|required|desired|established|shown|told|documented|attached|accompanying|assigned|confirmed|"
    r"accepted|verified|suggested|furnished|above-?mentioned|aforementioned|presupposed|declared|settled|flagged|fixed|"
    r"official|prescribed|quoted|recorded|announced|mandated|released|preordained|foregone|dictated|imposed|communicated)"
)
_TOLD = (
    r"(?:given|provided|supplied|stated|known|specified|disclosed|revealed|told|handed|marked|fixed|set|predetermined|"
    r"furnished|shared|announced|listed|indicated|shown|established|confirmed|declared|quoted|prescribed|communicated|passed|"
    r"included|attached|appended|written|printed|noted|mentioned|spelled out|enclosed|embedded|assigned|designated|fed)"
)
_SOURCE = (
    r"(?:prompt|question|task|instructions?|user|examiners?|exam|dataset|data set|problem|author|teacher|setter|system|"
    r"solution|test|quiz|metadata|input|assignment|brief|marking scheme|rubric|annotation|hint|back of the book|textbook|"
    r"answer key|answer sheet|key|quiz master|item|stem|request|message|header|file|sheet|database entry)"
)
_TELLS = (
    r"(?:says?|said|states?|stated|gives?|gave|tells?|told|marks?|marked|lists?|indicates?|indicated|specif(?:y|ies|ied)|"
    r"names?|named|identif(?:y|ies|ied)|label+ed|labels?|reveals?|revealed|provides?|provided|confirms?|confirmed|shows?|showed|"
    r"designates?|designated|declares?|declared|informs?|informed|hints?|hinted|has|have|supplies|supplied|discloses?|disclosed|"
    r"notes?|sets?|calls?|flags?|flagged|includes?|included|contains?|contained|records?|hands?|handed|presents?|mentions?|fix(?:es|ed)?)"
)
_IS_RIGHT = r"(?:is|was|as|to be|be|being|are)\s+(?:the\s+|being\s+|in fact\s+|indeed\s+)*(?:correct|right|answer|true|solution|expected|keyed|intended)"
_ANSWERER = (
    r"(?:prompt|user|setters?|examiners?|keys?|solution|answer key|(?:answer|solution|marking) (?:sheet|key|book|manual)|sheet|"
    r"instructions?|rubric|hint|teacher|author|annotation|label|metadata|memo|grader|professor|reference)"
)
_WANTS = r"(?:wants?|wanted|expects?|expected|demands?|requires?|asks? for|looks? for|looking for|after|prefers?|intends?|intended|favou?rs?|is looking for|aims? at|calls? for)"
_BARE = r"(?:\(?[b-z]\)?(?![\w'’])|\(?a\)?(?=\s*(?:[.,;:)]|$))|x1)"
_EARLY = r"(?:already|beforehand|in advance|a priori|up ?front|from the outset|from the start|ahead of time|from the beginning|before starting)"

CUES = [
    re.compile(pattern)
    for pattern in (
        # the given answer
        rf"\b{_GIVEN}\W+{_ANSWER}",
        # the answer (B) that was provided to us; the answer given
        rf"\b{_ANSWER}\W+(?:{_LETTER}\W+)?(?:(?:that|which|as|we|i|we['’]ve|i['’]ve|we['’]re|it['’]s|was|were|is|has|have|had|been|being|already|just|are|you|they|here|us|me)\s+){{1,6}}(?:\w+ly\s+)?{_TOLD}\b",
        rf"\b(?:answer|(?:correct|right) (?:option|choice|letter))\s+(?:given|provided|supplied|stated|specified|disclosed|revealed|handed|furnished|shared|supplied)\b",
        r"\banswer[- ](?:key|sheet)\b|\bground[- ]truth\b|\bgold(?:en)?[- ](?:label|answer|standard answer)\b|\bmarking scheme\b|\bsolution manual\b",
        # somebody told it
        rf"\b(?:told|informed|given to understand|tipped off|made aware|instructed|notified|advised|assured)\b{_WORDS % 8}(?:{_ANSWER}|{_LETTER}\s+{_IS_RIGHT})",
        rf"\b{_SOURCE}\b(?:\W+(?:itself|already|clearly|explicitly|has|have|also|us|above|here|that|of|for|this|which)){{0,4}}\W+{_TELLS}\b{_WORDS % 8}(?:{_ANSWER}|{_LETTER}\s+{_IS_RIGHT})",
        rf"\b(?:according to|as per|per|following|based on|going by|by)\s+(?:the\s+|this\s+|our\s+|its\s+)?(?:\w+\s+)?(?:answer|solution|key|label)\b(?!\s+(?:options|choices))",
        r"\b(?:consistent with|match(?:es|ing|ed)?|in line with|agree\w* with|in accordance with|in agreement with|aligns? with|corresponds? to|square\w* with)\s+(?:the|this|our|its)\s+(?:\w+\s+)?(?:answer|solution|label|correct (?:option|choice|letter))\b",
        rf"\b{_ANSWERER}\b(?:\W+[\w'’]+){{0,2}}?\W+(?:{_TELLS}|{_WANTS})\W+(?:(?:us|me|that|the|option|choice|answer|letter|is|as|for|it|to|be|we|should|must|select|choose|pick|go|with|conclude)\W+){{0,6}}{_BARE}",
        rf"\b{_SOURCE}\b(?:\W+[\w'’]+){{0,2}}?\W+{_WANTS}\W+(?:(?:us|me|the|option|choice|answer|letter|to|be|pick|reach|say|choose)\W+){{0,5}}(?:{_BARE}|{_ANSWER})",
        rf"\bas\W+(?:[\w'’]+ly\W+|has been\W+|was\W+|is\W+|we were\W+|i was\W+|had been\W+)?{_TOLD}\b(?:\W+(?:in|by|above|below|at|here|the|this|our|from|to|us|beforehand|[\w'’]+)){{0,4}}?,?\W+(?:the\W+)?{_ANSWER}\W+(?:is|should|must|has|was|will|=)",
        rf"\b{_LETTER}\W+(?:is|was|being)\W+(?:the one|what|which|the letter|the option|the answer)\b{_WORDS % 5}{_TOLD}\b",
        rf"\bit\W+(?:says|states|reads|was said|is said|is written|is stated|is given|is noted|is mentioned|was stated|was given)\b{_WORDS % 6}(?:{_ANSWER}|{_LETTER}\s+{_IS_RIGHT})",
        rf"\b{_ANSWER}\W+(?:is|was|being)\W+(?:{_LETTER}|x1)\W+(?:which|as|this|that|and this|and that|and it)\W+(?:[\w'’]+\W+){{0,3}}?{_TOLD}\b",
        # known in advance
        rf"\b{_EARLY}\b[^.;]{{0,60}}?\b(?:answer|correct|right (?:option|choice|answer|one|letter)|solution|outcome|which (?:option|letter))\b",
        rf"\b(?:answer|correct|right (?:option|choice|one|letter)|solution|which (?:option|letter))\b[^.;]{{0,50}}?\b{_EARLY}\b",
        rf"\b(?:we|i|one|you)(?:['’](?:ve|re|m))?\W+(?:(?:have|had|are|am|was|were|already|all|do|been|of course)\W+){{0,3}}(?:know|knew|knowing|given|told|seen|learn\w*|have|had)\W+(?:[\w'’]+\W+){{0,5}}?{_ANSWER}(?! (?:if|when|once|after|by))",
        rf"\b(?:know(?:ing|n)|having (?:seen|been given|been told|been shown|been handed|learn\w+|received|got|heard|looked up|access to)|seeing|armed with|equipped with)\b{_WORDS % 4}(?:{_ANSWER}|{_LETTER}\s+{_IS_RIGHT})",
        # marked as correct
        rf"\b(?:marked|flagged|designated|label+ed|listed|keyed|specified|declared|set|fixed|indicated|identified|named|given|recorded|stated|tagged|annotated|supplied|provided|highlighted|ticked|noted|confirmed|known|established|announced|circled|chosen for us|handed)\W+(?:[\w'’]+\s+){{0,3}}?(?:as|to be|with|for|in)\s+(?:(?:the|being|our|its|this|task|question)\s+)*(?:correct|right|answer|solution|true)\b",
        # a premise
        rf"\b(?:since|because|given|knowing|considering|seeing|now that|granted|as|assuming|with)\W+(?:that\W+)?(?:(?:the|this|our|we|it|know)\W+){{0,2}}{_ANSWER}\W+(?:\(?{_LETTER}\)?\W+)?(?:is|must be|has to be|should be|was|being|turns out|needs)\b",
        rf"\b(?:since|because|given that|knowing that|considering that|seeing that|now that|granted that|as)\W+(?:option|choice|answer|letter)?\s*\(?[a-z]\)?\s+(?:is|was|has been|must be|being)\s+(?:[\w'’]+\s+){{0,2}}?(?:correct|right|answer|solution|true one|expected)\b",
        rf"\b(?:in (?:view|light) of|in the light of|on the basis of|because of|owing to|due to|thanks to|in the knowledge of|starting from|with)\W+(?:the\W+|this\W+|our\W+)?{_ANSWER}",
        rf"\bwith\W+(?:(?:option|choice|letter|answer)\W+)?(?:\(?[b-z]\)?|x1)\W+(?:[\w'’]+\W+){{0,2}}?(?:as|being)\W+(?:the\W+)?{_ANSWER}",
        rf"\bknow\b(?:\W+that)?\W+(?:the\W+)?{_ANSWER}\W+(?:is|was)\b",
        # the task of justifying it
        rf"\b(?:justif(?:y|ies|ying|ied)|rationali[sz](?:e|ing)|defend(?:ing)?|argu(?:e|ing) for|vindicat(?:e|ing)|back(?:ing)? up)\b{_WORDS % 3}(?:answer|letter|option|choice|solution|conclusion|selection|why|{_LETTER}\b(?=[\s.,]))",
        rf"\b(?:explain|show|demonstrate|clarify|see|say|spell out|account for|lay out)(?:s|ed|ing)?\b{_WORDS % 3}(?:why|how|that)\W+(?:the\W+)?(?:(?:option|choice|answer|letter)\W+)?\(?[a-z]\)?\W+(?:is|must be|has to be|was)\b",
        rf"\b(?:explain|show|demonstrate|clarify)(?:s|ed|ing)?\b{_WORDS % 3}(?:why|how)\W+(?:this|that|it|the)\W+(?:[\w'’]+\W+){{0,2}}?(?:correct|right|answer|solution)\b",
        r"\b(?:work|reason|reconstruct|argu|go|trac|deriv|start|proceed|build|think)\w*\W+(?:[\w'’]+\W+){0,2}?(?:backwards?|in reverse|back|from)\W+(?:from\W+)?(?:the\W+|this\W+|that\W+|our\W+)?(?:[\w'’]+\W+)?(?:answer|solution|conclusion|label|key|letter|correct option)\b",
        rf"\b(?:make|making|made|build\w*|find\w*|construct\w*|give|giving|provide|write|produce|assemble|supply|come up with|present|develop|craft|invent|collect)\W+(?:[\w'’]+\W+){{0,3}}?(?:case|argument|arguments|reasons?|justification|rationale|explanation|grounds|story|reasoning|path|route)\W+(?:for|why|of|in favou?r of|behind|towards?|leading to|that (?:leads?|ends?|supports?)(?: to| at| in| with)?)\W+(?:(?:the|option|choice|answer|letter|picking|choosing|selecting|it|this)\W+){{0,3}}(?:{_BARE}|{_ANSWER}|answer)",
        rf"\b(?:arriv|reach|lead|land|end up|get|converg|point|head|steer)\w*\W+(?:[\w'’]+\W+){{0,3}}?(?:that|this|same|said)\W+(?:answer|letter|solution|option)\b",
        r"\b(?:told|given|handed|shown|fed|supplied with|provided with|furnished with|armed with)\W+(?:(?:the|this|that|an|its|our|us|me|both|of)\W+){1,2}(?:(?:correct|right|final)\W+)?(?:answer|solution|letter|correct (?:option|choice))\b(?! (?:options|choices))",
        r"\bspoiler\b|\bpeek(?:ed|ing)? at\b|\bleaked\b|\bcheat sheet\b",
    )
]
