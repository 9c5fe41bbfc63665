"""The roles that meet in a leak, as English words: regular expressions over folded text, to be put together."""

WORDS = r"(?:\W+[\w'’]+){0,%d}?\W+"
LETTER = r"(?:(?:option|choice|letter|answer)\s+)?\(?[a-z]\)?"
RIGHT = r"(?:correct|right|true|proper|final|best|accurate|actual|single|official)"
ANSWER = (
    rf"(?:(?:{RIGHT}\W+){{0,2}}(?:answers?\b(?!\s+(?:options?|choices?)\b)|solution\b|label\b|ground[- ]truth)"
    r"|(?:correct|right|keyed|winning) (?:options?|choices?|letters?|ones?|response|diagnosis|selection|pick|"
    r"alternative)\b)"
)
GIVEN = (
    r"(?:given|provided|supplied|stated|known|specified|indicated|reference|gold(?:en)?|marked|label+ed|"
    r"annotated|designated|"
    r"expected|intended|target|disclosed|revealed|keyed|predetermined|pre-?(?:set|specified|selected|assigned|"
    r"defined)|listed|"
    r"published|model|standard|required|desired|established|shown|told|documented|attached|accompanying|"
    r"assigned|confirmed|"
    r"accepted|verified|suggested|furnished|above-?mentioned|aforementioned|presupposed|declared|settled|flagged|fixed|"
    r"official|prescribed|quoted|recorded|announced|mandated|released|preordained|foregone|dictated|imposed|"
    r"communicated)"
)
TOLD = (
    r"(?:given|provided|supplied|stated|known|specified|disclosed|revealed|told|handed|marked|fixed|set|predetermined|"
    r"furnished|shared|announced|listed|indicated|shown|established|confirmed|declared|quoted|prescribed|"
    r"communicated|passed|"
    r"included|attached|appended|written|printed|noted|mentioned|spelled out|enclosed|embedded|assigned|designated|fed)"
)
SOURCE = (
    r"(?:prompt|question|task|instructions?|user|examiners?|exam|dataset|data set|problem|author|teacher|setter|system|"
    r"solution|test|quiz|metadata|input|assignment|brief|marking scheme|rubric|annotation|hint|back of the "
    r"book|textbook|"
    r"answer key|answer sheet|key|quiz master|item|stem|request|message|header|file|sheet|database entry)"
)
TELLS = (
    r"(?:says?|said|states?|stated|gives?|gave|tells?|told|marks?|marked|lists?|indicates?|indicated|"
    r"specif(?:y|ies|ied)|"
    r"names?|named|identif(?:y|ies|ied)|label+ed|labels?|reveals?|revealed|provides?|provided|confirms?|"
    r"confirmed|shows?|showed|"
    r"designates?|designated|declares?|declared|informs?|informed|hints?|hinted|has|have|supplies|supplied|"
    r"discloses?|disclosed|"
    r"notes?|sets?|calls?|flags?|flagged|includes?|included|contains?|contained|records?|hands?|handed|"
    r"presents?|mentions?|fix(?:es|ed)?)"
)
IS_RIGHT = (
    r"(?:is|was|as|to be|be|being|are)\s+(?:the\s+|being\s+|in fact\s+|indeed\s+)*(?:correct|right|answer|true|"
    r"solution|expected|keyed|intended)"
)
ANSWERER = (
    r"(?:prompt|user|setters?|examiners?|keys?|solution|answer key|(?:answer|solution|marking) (?:sheet|key|"
    r"book|manual)|sheet|"
    r"instructions?|rubric|hint|teacher|author|annotation|label|metadata|memo|grader|professor|reference)"
)
WANTS = (
    r"(?:wants?|wanted|expects?|expected|demands?|requires?|asks? for|looks? for|looking for|after|prefers?|"
    r"intends?|intended|favou?rs?|is looking for|aims? at|calls? for)"
)
BARE = r"(?:\(?[b-z]\)?(?![\w'’])|\(?a\)?(?=\s*(?:[.,;:)]|$))|x1)"
EARLY = (
    r"(?:already|beforehand|in advance|a priori|up ?front|from the outset|from the start|ahead of time|"
    r"from the beginning|before starting)"
)
