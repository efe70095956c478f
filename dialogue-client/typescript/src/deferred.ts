/** A promise that is settled from outside. Its rejection is never an unhandled one. */
export class Deferred<T> {
  declare readonly promise: Promise<T>;
  declare resolve: (value: T) => void;
  declare reject: (error: Error) => void;

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.promise.catch(() => {});
  }
}
