"""Golden packs: folders of data at every level of the model, for whoever writes it anew in another language.

    manifest, files         what a pack is made of
    arithmetic, definitions truth of operations, number by number
    scalars, tensors        operations
    tiny, scenarios, parts  models, whole passes, and their parts one by one (partcheck)
    slow_filters, filtering, searches   generation: filters of scores, whole searches
    texts, chats            tokenizer and conversations
    export, verify          making and checking a whole pack
    convert                 other formats
docs/golden-packs.md describes the format for its readers.
"""
