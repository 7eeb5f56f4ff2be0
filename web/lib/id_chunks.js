// The ids of a long list in small parts, so that only the parts in sight need rows. Without DOM.

export const CHUNK = 20; // ids in one part

/** Ids in descending order. `chunks` are objects with an array `ids`, never empty; they keep their identity. */
export class IdChunks {
  constructor(ids) {
    this.chunks = [];
    this.chunkOf = new Map();
    for (let start = 0; start < ids.length; start += CHUNK) this.add({ ids: ids.slice(start, start + CHUNK) });
  }

  add(chunk, at = this.chunks.length) {
    this.chunks.splice(at, 0, chunk);
    for (const id of chunk.ids) this.chunkOf.set(id, chunk);
  }

  get size() {
    return this.chunkOf.size;
  }

  has(id) {
    return this.chunkOf.has(id);
  }

  /** Return what has to be removed and inserted, in this order, to come to other ids: {gone, added}. */
  changesTo(ids) {
    const wanted = new Set(ids);
    const gone = [...this.chunkOf.keys()].filter((id) => !wanted.has(id));
    return { gone, added: ids.filter((id) => !this.has(id)).reverse() };
  }

  /** Return the index of the first id of a chunk in the whole list. */
  startOf(chunk) {
    let start = 0;
    for (const each of this.chunks) {
      if (each === chunk) break;
      start += each.ids.length;
    }
    return start;
  }

  /** Add an id at its place; return its chunk, which is a new one if the first chunk is full. */
  insert(id) {
    const at = this.chunks.findIndex((chunk) => chunk.ids.at(-1) < id);
    const chunk = this.chunks[at] ?? this.chunks.at(-1);
    if (!chunk || (at === 0 && id > chunk.ids[0] && chunk.ids.length >= CHUNK)) {
      const made = { ids: [id] };
      this.add(made, 0);
      return made;
    }
    const index = chunk.ids.findIndex((each) => each < id);
    chunk.ids.splice(index < 0 ? chunk.ids.length : index, 0, id);
    this.chunkOf.set(id, chunk);
    return chunk;
  }

  /** Remove an id; return its chunk, which leaves `chunks` with its last id. */
  remove(id) {
    const chunk = this.chunkOf.get(id);
    chunk.ids.splice(chunk.ids.indexOf(id), 1);
    this.chunkOf.delete(id);
    if (!chunk.ids.length) this.chunks.splice(this.chunks.indexOf(chunk), 1);
    return chunk;
  }
}
