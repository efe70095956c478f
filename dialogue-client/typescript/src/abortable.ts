/** Why a signal is aborted. React Native's signals do not say. */
export function reasonOf(signal: AbortSignal): unknown {
  return signal.reason ?? new Error("aborted");
}

/** Throws the signal's reason if it is aborted. React Native's signals have no method for that. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw reasonOf(signal);
}

/** Waits for a promise, or until a signal is aborted: then rejects with the signal's reason. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(reasonOf(signal));
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
